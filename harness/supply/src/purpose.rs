//! What a thread fetches for. A download is begun deep down, where nobody knows
//! whether an image or a tool needs it; who asks for these says so, and who shows
//! progress can then tell one thing that is awaited instead of a hundred files.

use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static CURRENT: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// What this thread works for, in a person's words: `image debian:12`. None where
/// nobody said.
pub fn current() -> Option<Arc<str>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Until the guard is dropped, this thread works for `purpose`; then for what it
/// worked for before.
#[must_use = "the purpose ends with the guard"]
pub fn begin(purpose: &str) -> Purpose {
    adopt(Some(Arc::from(purpose)))
}

/// As [`begin`], for a thread that helps another: its [`current`].
pub(crate) fn adopt(purpose: Option<Arc<str>>) -> Purpose {
    Purpose {
        before: CURRENT.replace(purpose),
    }
}

/// See [`begin`].
#[derive(Debug)]
pub struct Purpose {
    before: Option<Arc<str>>,
}

impl Drop for Purpose {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_nest_and_belong_to_a_thread() {
        assert_eq!(current(), None);
        let outer = begin("image debian:12");
        {
            let _inner = begin("qemu");
            assert_eq!(current().as_deref(), Some("qemu"));
            let other = std::thread::spawn(|| current().is_none());
            assert!(other.join().unwrap());
        }
        let helped = current();
        let helper = std::thread::spawn(move || {
            let _for = adopt(helped);
            current()
        });
        assert_eq!(helper.join().unwrap().as_deref(), Some("image debian:12"));
        drop(outer);
        assert_eq!(current(), None);
    }
}
