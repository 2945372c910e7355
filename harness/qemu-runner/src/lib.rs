//! QEMU through std::process: command line, initramfs, acceleration, console.
