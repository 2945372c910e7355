//! Images as the world keeps them, through the program itself: from the registry that
//! everybody runs, from archives and engines that others wrote, and from servers and
//! images that mean harm. The registry and what it is held against come from Debian's
//! packages into the user's own cache, once, as QEMU does.

#[path = "../it/authority.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod authority;
mod desk;
mod hostile;
mod layers;
mod logins;
#[path = "../it/loopback.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod loopback;
mod made;
mod memory;
#[path = "../it/project.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod project;
mod registry;
#[path = "../../../supply/tests/it/server.rs"]
#[expect(dead_code, reason = "shared with the tests of supply")]
mod server;
mod sources;
mod tar_file;
mod token_server;
mod unpacked;
