//! What the cache promises, held against real files.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn started(&self, _: &str, _: Option<u64>) {}
    fn advanced(&self, _: &str, _: u64) {}
    fn finished(&self, _: &str, _: u64, _: Option<&str>) {}
    fn note(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

fn cache() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    (folder, cache)
}

fn write(text: &str) -> impl FnOnce(&Path) -> Result<(), CacheError> + '_ {
    move |path| std::fs::write(path, text).map_err(|source| CacheError::io(path, source))
}

fn never(_: &Path) -> Result<(), CacheError> {
    panic!("made a second time")
}

#[test]
fn a_thing_is_made_once() {
    let (_folder, cache) = cache();
    let key = Key::new("test-v1");
    assert_eq!(cache.get("thing", &key), None);
    let path = cache.build("thing", &key, write("content")).unwrap();
    assert_eq!(cache.build("thing", &key, never).unwrap(), path);
    assert_eq!(cache.get("thing", &key), Some(path.clone()));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "content");
    assert_eq!(cache.get("other", &key), None);
}

#[test]
fn a_failure_keeps_nothing() {
    let (folder, cache) = cache();
    let key = Key::new("test-v1");
    let failed = cache.build("thing", &key, |path| {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("half"), "half").unwrap();
        Err(CacheError::io(path, std::io::ErrorKind::StorageFull.into()))
    });
    assert!(matches!(
        failed,
        Err(CacheError::Full { free: Some(_), .. })
    ));
    assert_eq!(cache.get("thing", &key), None);
    assert_eq!(cache.entries().unwrap(), []);
    drop(cache);
    for folder in [folder.path().join("staging"), folder.path().join("lock")] {
        assert_eq!(
            std::fs::read_dir(&folder).unwrap().count(),
            0,
            "{}",
            folder.display()
        );
    }
}

#[test]
fn damage_is_noticed_told_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let notes = Arc::new(Notes::default());
    let cache = Cache::open(folder.path())
        .unwrap()
        .with_progress(notes.clone());
    let key = Key::new("test-v1");
    let path = cache.build("thing", &key, write("content")).unwrap();
    for damaged in ["conten", "c0ntent", ""] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(cache.get("thing", &key), None, "{damaged}");
        cache.build("thing", &key, write("content")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "content");
    }
    assert!(
        notes
            .0
            .lock()
            .unwrap()
            .iter()
            .all(|note| note.contains("damaged"))
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(cache.get("thing", &key), None);
    cache.build("thing", &key, write("content")).unwrap();
}

#[test]
fn what_was_written_to_since_is_read_through_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let notes = Arc::new(Notes::default());
    let cache = Cache::open(folder.path())
        .unwrap()
        .with_progress(notes.clone());
    let key = Key::new("test-v1");
    // Too large to be read on every use, and in a folder.
    let content = vec![b'x'; (1 << 20) + 1];
    let make = |path: &Path| {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("disk"), &content).unwrap();
        Ok::<(), CacheError>(())
    };
    let disk = cache.build("thing", &key, make).unwrap().join("disk");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    let write = |bytes: &[u8]| {
        std::fs::write(&disk, bytes).unwrap();
        let file = std::fs::File::options().append(true).open(&disk).unwrap();
        file.set_modified(later).unwrap();
    };
    let mut damaged = content.clone();
    damaged[1000] = b'y';
    write(&damaged);
    assert_eq!(cache.get("thing", &key), None);
    cache.build("thing", &key, make).unwrap();
    assert_eq!(std::fs::read(&disk).unwrap(), content);
    assert_eq!(notes.0.lock().unwrap().len(), 1, "told once");
    std::fs::write(disk.with_file_name("more"), "").unwrap();
    assert_eq!(cache.get("thing", &key), None, "a file too many");
    cache.build("thing", &key, make).unwrap();
    // The same bytes with another time are sound.
    write(&content);
    assert!(cache.get("thing", &key).is_some());
    assert_eq!(notes.0.lock().unwrap().len(), 2);
}

#[test]
fn of_a_large_folder_the_top_is_looked_at_and_the_rest_when_asked_for() {
    let (_folder, cache) = cache();
    let key = Key::new("test-v1");
    let make = |path: &Path| {
        std::fs::create_dir_all(path.join("modules")).unwrap();
        for number in 0..100 {
            std::fs::write(path.join("modules").join(number.to_string()), "x").unwrap();
        }
        std::fs::write(path.join("vmlinuz"), "kernel").unwrap();
        Ok::<(), CacheError>(())
    };
    let path = cache.build("thing", &key, make).unwrap();
    assert!(cache.get("thing", &key).is_some());
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    let write = |name: &str, text: &str| {
        std::fs::write(path.join(name), text).unwrap();
        let file = std::fs::File::options().append(true).open(path.join(name));
        file.unwrap().set_modified(later).unwrap();
    };
    write("vmlinuz", "kernal");
    assert_eq!(cache.get("thing", &key), None, "at the top");
    cache.build("thing", &key, make).unwrap();
    write("modules/7", "y");
    let entry = cache.entries().unwrap().remove(0);
    assert!(matches!(
        cache.verify(&entry),
        Err(CacheError::Damaged { .. })
    ));
    assert_eq!(cache.get("thing", &key), None, "below it, once read");
}

#[test]
fn what_lacks_a_seal_was_never_finished() {
    let (folder, cache) = cache();
    let key = Key::new("test-v1");
    let path = folder.path().join("thing").join(key.hex());
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("half"), "half").unwrap();
    assert_eq!(cache.get("thing", &key), None);
    let built = cache.build("thing", &key, write("whole")).unwrap();
    assert_eq!(std::fs::read_to_string(built).unwrap(), "whole");
}

#[test]
fn verify_reads_folders_and_removes_what_is_damaged() {
    let (_folder, cache) = cache();
    let key = Key::new("test-v1");
    let make = |path: &Path| {
        std::fs::create_dir_all(path.join("a")).unwrap();
        std::fs::write(path.join("a/b"), "12345").unwrap();
        std::os::unix::fs::symlink("b", path.join("a/c")).unwrap();
        Ok::<(), CacheError>(())
    };
    let path = cache.build("thing", &key, make).unwrap();
    let entry = cache.entries().unwrap().remove(0);
    assert_eq!((entry.kind.as_str(), entry.bytes), ("thing", 5));
    cache.verify(&entry).unwrap();
    std::fs::write(path.join("a/b"), "12346").unwrap();
    assert!(matches!(
        cache.verify(&entry),
        Err(CacheError::Damaged { .. })
    ));
    assert_eq!(cache.get("thing", &key), None);
    assert_eq!(cache.entries().unwrap(), []);
}

#[test]
fn threads_that_want_one_key_share_one_build() {
    let (folder, _) = cache();
    let made = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // A cache each, as separate programs have.
                let cache = Cache::open(folder.path()).unwrap();
                let path = cache.build("thing", &Key::new("test-v1"), |path| {
                    made.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    write("content")(path)
                });
                assert_eq!(std::fs::read_to_string(path.unwrap()).unwrap(), "content");
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn what_dead_programs_left_is_swept_and_the_living_are_not() {
    let (folder, living) = cache();
    let held = living.staging().unwrap();
    std::fs::write(held.path().join("mine"), "").unwrap();
    let dead = folder.path().join("staging/4242-0");
    std::fs::create_dir_all(dead.join("x")).unwrap();
    std::fs::write(dead.with_extension("lock"), "").unwrap();
    let orphan = folder.path().join("staging/4243-0");
    std::fs::create_dir_all(&orphan).unwrap();
    Cache::open(folder.path()).unwrap();
    assert!(!dead.exists() && !dead.with_extension("lock").exists());
    assert!(!orphan.exists());
    assert!(held.path().join("mine").exists());
}

#[test]
fn only_what_is_old_is_collected() {
    let (_folder, cache) = cache();
    let (old, new) = (Key::new("old"), Key::new("new"));
    for key in [&old, &new] {
        cache.build("thing", key, write("1234")).unwrap();
    }
    let seal = seal::path(&cache.path("thing", &old.hex()));
    let file = std::fs::File::options().append(true).open(seal).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    file.set_modified(std::time::SystemTime::now() - 2 * hour)
        .unwrap();
    let entries = cache.entries().unwrap();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.used.elapsed().unwrap() > hour)
            .count(),
        1
    );
    // Use makes it new.
    assert!(cache.get("thing", &old).is_some());
    assert_eq!(cache.collect(hour).unwrap(), 0);
    file.set_modified(std::time::SystemTime::now() - 2 * hour)
        .unwrap();
    // A block of the file system at the least.
    assert!(cache.collect(hour).unwrap() >= 4);
    assert_eq!(cache.get("thing", &old), None);
    assert!(cache.get("thing", &new).is_some());
}

#[test]
fn what_changes_under_one_name_is_replaced() {
    let (_folder, cache) = cache();
    let key = Key::new("suite");
    cache.replace("suite", &key, write("old")).unwrap();
    let path = cache.replace("suite", &key, write("new")).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "new");
    cache.forget("suite", &key).unwrap();
    assert_eq!(cache.get("suite", &key), None);
}
