//! A mistake in this program, met while it works: told as trouble of what it
//! worked on, never as a result, and never left for others to wait on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does the work; a panic in it becomes the reason why it came to nothing. What it
/// left half done is the caller's to drop.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("matrix failed: {}", words(&*panic))))
}

/// What a panic said.
pub(super) fn words(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without words".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_reason() {
        let number = 3;
        let fixed: Result<(), String> = caught(|| panic!("a mistake"));
        assert_eq!(fixed, Err("matrix failed: a mistake".to_owned()));
        let formatted: Result<(), String> = caught(|| panic!("mistake {number}"));
        assert_eq!(formatted, Err("matrix failed: mistake 3".to_owned()));
        assert_eq!(caught(|| Ok(number)), Ok(3));
    }
}
