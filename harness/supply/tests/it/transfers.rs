//! Transfers that break, hang, or meet on one file.

use std::sync::Arc;
use std::time::Duration;

use supply::{AptError, AptOptions, HttpError, HttpOptions};

use crate::archive::{Client, Mirror, deb};
use crate::server::Reply;

const DEB: &str = "/debian/pool/a_1.0.deb";

/// Fetches package `a`, whose .deb is served like this.
fn fetch(mirror: &Mirror, client: &Client, replies: Vec<Reply>) -> Result<Vec<u8>, AptError> {
    mirror.publish();
    mirror.server.on_each(DEB, replies);
    let universe = client.open().unwrap();
    let path = client.apt.fetch(universe.newest("a").unwrap())?;
    Ok(std::fs::read(path).unwrap())
}

fn ranges(mirror: &Mirror) -> Vec<Option<String>> {
    mirror
        .server
        .requests("a_1.0.deb")
        .iter()
        .map(|it| it.headers.get("range").cloned())
        .collect()
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() {
    let (mirror, good) = (Mirror::plain(), deb("a"));
    let client = mirror.client();
    let replies = vec![
        Reply::Cut(good.clone(), 100_000),
        Reply::Cut(good.clone(), 150_000),
        Reply::File(good.clone()),
    ];
    assert_eq!(fetch(&mirror, &client, replies).unwrap(), good);
    let resumed = ["bytes=100000-", "bytes=150000-"].map(|it| Some(it.to_owned()));
    assert_eq!(ranges(&mirror)[1..], resumed);
    let notes = client.events.notes.lock().unwrap();
    assert!(
        notes
            .iter()
            .any(|it| it.contains("broke off after 100000 bytes")),
        "{notes:?}"
    );
}

#[test]
fn a_server_that_hangs_up_early_without_a_length_is_met_too() {
    let (mirror, good) = (Mirror::plain(), deb("a"));
    let replies = vec![
        Reply::Unannounced(good.clone(), 70_000),
        Reply::File(good.clone()),
    ];
    assert_eq!(fetch(&mirror, &mirror.client(), replies).unwrap(), good);
    assert_eq!(ranges(&mirror)[1].as_deref(), Some("bytes=70000-"));
}

#[test]
fn servers_that_cannot_resume_are_asked_for_all() {
    for second in [
        Reply::NoRanges(deb("a")),
        Reply::WrongRange(deb("a")),
        Reply::Status(416),
    ] {
        let (mirror, good) = (Mirror::plain(), deb("a"));
        let replies = vec![
            Reply::Cut(good.clone(), 100_000),
            second,
            Reply::File(good.clone()),
        ];
        assert_eq!(fetch(&mirror, &mirror.client(), replies).unwrap(), good);
    }
}

#[test]
fn two_versions_joined_are_noticed() {
    let (mirror, good) = (Mirror::plain(), deb("a"));
    let mut other = good.clone();
    other[5] ^= 1;
    let replies = vec![
        Reply::Cut(other, 100_000),
        Reply::File(good.clone()),
        Reply::File(good.clone()),
    ];
    assert_eq!(fetch(&mirror, &mirror.client(), replies).unwrap(), good);
    assert_eq!(
        ranges(&mirror),
        [None, Some("bytes=100000-".to_owned()), None]
    );
}

#[test]
fn an_overloaded_server_is_asked_again_but_not_for_ever() {
    let (mirror, good) = (Mirror::plain(), deb("a"));
    let client = mirror.client();
    let replies = vec![
        Reply::Status(503),
        Reply::Status(502),
        Reply::File(good.clone()),
    ];
    assert_eq!(fetch(&mirror, &client, replies).unwrap(), good);
    let mirror = Mirror::plain();
    let client = mirror.client();
    let error = fetch(&mirror, &client, vec![Reply::Status(503)]).unwrap_err();
    assert!(
        matches!(error, AptError::Http(HttpError::Status { status: 503, .. })),
        "{error}"
    );
    assert_eq!(ranges(&mirror).len(), 4);
    assert_eq!(client.kept("blob"), 0);
}

#[test]
fn a_server_that_hangs_is_left() {
    for reply in [
        Reply::Hang,
        Reply::HangAfter(deb("a"), 1000),
        Reply::Trickle,
    ] {
        let mirror = Mirror::plain();
        mirror.publish();
        mirror.in_release(reply.clone());
        let client = mirror.client();
        let error = client.refused(&["suite", "index"]);
        assert!(
            matches!(error, AptError::Http(HttpError::Stalled { .. })),
            "{reply:?}: {error}"
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let mirror = Mirror::plain();
    let client = mirror.client();
    let mut source = mirror.source("test", false);
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    source.suites[0].archive = plan::Archive::Url(format!("http://{gone}/debian"));
    let error = client.apt.open(&source).err().unwrap();
    assert!(
        matches!(error, AptError::Http(HttpError::Connect { .. })),
        "{error}"
    );
    assert!(
        error.to_string().to_lowercase().contains("refused"),
        "{error}"
    );
}

#[test]
fn more_than_there_can_be_is_refused() {
    let mirror = Mirror::plain();
    mirror.publish();
    mirror.in_release(Reply::HangAfter(vec![b'x'; 33 << 20], 0));
    let error = mirror.client().refused(&["suite"]);
    assert!(
        matches!(error, AptError::Http(HttpError::TooLarge { .. })),
        "{error}"
    );
}

#[test]
fn those_who_want_one_file_share_one_download() {
    let (mirror, good) = (Mirror::plain(), deb("a"));
    mirror.publish();
    mirror
        .server
        .on(DEB, Reply::Late(good.clone(), Duration::from_millis(100)));
    let folder = mirror.client().folder;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // A client with a cache of its own on the same folder, as another
                // program has.
                let client = mirror.client_with(
                    Arc::clone(&folder),
                    HttpOptions::default(),
                    AptOptions::default(),
                );
                let universe = client.open().unwrap();
                let path = client.apt.fetch(universe.newest("a").unwrap()).unwrap();
                assert_eq!(std::fs::read(path).unwrap(), good);
            });
        }
    });
    assert_eq!(mirror.server.requests("a_1.0.deb").len(), 1);
    assert_eq!(mirror.server.requests("Packages.xz").len(), 1);
}

#[test]
fn a_damaged_file_of_the_cache_is_fetched_again() {
    let (mirror, good) = (Mirror::plain(), deb("a"));
    let client = mirror.client();
    fetch(&mirror, &client, vec![Reply::File(good.clone())]).unwrap();
    for kind in ["blob", "index", "suite"] {
        let entries = client.cache.entries().unwrap();
        let entry = entries.iter().find(|entry| entry.kind == kind).unwrap();
        let bytes = std::fs::read(&entry.path).unwrap();
        std::fs::write(&entry.path, &bytes[..bytes.len() / 2]).unwrap();
        let again = mirror.client_with(
            Arc::clone(&client.folder),
            HttpOptions::default(),
            AptOptions::default(),
        );
        let universe = again.open().unwrap();
        let path = again.apt.fetch(universe.newest("a").unwrap()).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), good);
        let notes = again.events.notes.lock().unwrap();
        assert!(
            notes.iter().any(|it| it.contains("damaged")),
            "{kind}: {notes:?}"
        );
    }
    assert_eq!(mirror.server.requests("a_1.0.deb").len(), 2);
}
