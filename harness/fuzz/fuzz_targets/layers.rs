//! Layers laid over one another: archives that lie, whiteouts, links, and paths that
//! lead anywhere, as long as the members of several layers meet.
//!
//! What must hold: reading does not depend on the pieces the bytes come in, nor on how
//! they are compressed; laying over all at once is as one by one; the tree is one a
//! file system can have, and the same once more from its own tar, also as what later
//! layers go over; nothing is extracted outside of its folder; memory is bounded. Where
//! no archive lies, a second, plain account of layers comes to the same tree.

#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use fuzz::{Chunks, LayerPlan, Memory, Model, same_tree, sound};
use libfuzzer_sys::fuzz_target;
use supply::oci::{Digest, Limits, OciError, unpack};
use supply::tree::{Budget, Layer, Link, Spool, Tree, check_path, digest, extract_tar};

#[derive(Arbitrary, Debug)]
struct Case {
    layers: Vec<LayerPlan>,
    /// How many bytes come at a time.
    chunks: Vec<u8>,
    /// After so many layers the tree goes through its own tar.
    cut: u8,
    /// Whether the slower laws are held too.
    slow: u8,
    /// Whether the archives lie.
    lying: bool,
}

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    entries: 5000,
};

/// The names of a whole tree, and buffers.
const MEMORY: usize = 64 << 20;

fn read(
    archive: &[u8],
    packed: &[u8],
    sizes: &[u8],
    spool: &Arc<Spool>,
    budget: &Budget,
) -> Result<Layer, OciError> {
    let source = Chunks::new(packed, sizes);
    unpack::layer("layer", source, &Digest::of(archive), spool, budget, LIMITS)
}

fn budget() -> Budget {
    Budget::new(LIMITS.bytes, LIMITS.entries)
}

/// The tree of these layers from `first` on, laid over `tree` one by one.
fn over(
    mut tree: Tree,
    archives: &[(Vec<u8>, Vec<u8>)],
    sizes: &[u8],
    spool: &Arc<Spool>,
) -> Result<Tree, String> {
    let budget = budget();
    for (archive, packed) in archives {
        let layer =
            read(archive, packed, sizes, spool, &budget).map_err(|error| error.to_string())?;
        layer.apply(&mut tree).map_err(|error| error.to_string())?;
    }
    Ok(tree)
}

fuzz_target!(|case: Case| {
    let mut layers = case.layers;
    layers.truncate(8);
    if !case.lying {
        layers.iter_mut().for_each(LayerPlan::mend);
    }
    let layers = layers.as_slice();
    let spool = Spool::new(&std::env::temp_dir()).expect("a spool");
    let archives: Vec<(Vec<u8>, Vec<u8>)> = layers
        .iter()
        .map(|plan| {
            let archive = plan.archive();
            let packed = plan.pack(&archive);
            (archive, packed)
        })
        .collect();
    let plain: Vec<(Vec<u8>, Vec<u8>)> = archives
        .iter()
        .map(|(archive, _)| (archive.clone(), archive.clone()))
        .collect();

    let memory = Memory::watch();
    let whole = over(Tree::bounded(LIMITS.entries), &plain, &[], &spool);
    memory.at_most(MEMORY);

    let pieces = over(Tree::bounded(LIMITS.entries), &plain, &case.chunks, &spool);
    let packed = over(
        Tree::bounded(LIMITS.entries),
        &archives,
        &case.chunks,
        &spool,
    );
    let tree = match (whole, pieces, packed) {
        (Ok(whole), Ok(pieces), Ok(packed)) => {
            let expected = digest(&whole).expect("a digest");
            assert_eq!(expected, digest(&pieces).expect("a digest"), "in pieces");
            assert_eq!(expected, digest(&packed).expect("a digest"), "compressed");
            Some(whole)
        }
        (Err(whole), Err(pieces), Err(_)) => {
            assert_eq!(whole, pieces, "in pieces");
            None
        }
        (whole, pieces, packed) => panic!(
            "{:?} {:?} {:?}",
            whole.map(|_| ()),
            pieces.map(|_| ()),
            packed.map(|_| ())
        ),
    };

    model(layers, &plain, &spool);

    let Some(tree) = tree else {
        return;
    };
    sound(&tree, LIMITS.entries);
    assert!(tree.size() <= LIMITS.bytes);
    same_tree(&tree, &spool);
    if case.slow % 8 != 0 {
        return;
    }
    let expected = digest(&tree).expect("a digest");

    let names: Vec<String> = (0..archives.len())
        .map(|number| number.to_string())
        .collect();
    let at_once = unpack::layers(&names, LIMITS, |number, budget| {
        let (archive, packed) = &archives[number];
        read(archive, packed, &[], &spool, budget)
    });
    let at_once = at_once.expect("one by one they are taken");
    assert_eq!(expected, digest(&at_once).expect("a digest"), "at once");

    let cut = usize::from(case.cut) % (plain.len() + 1);
    let (lower, upper) = plain.split_at(cut);
    let below = over(Tree::new(), lower, &[], &spool).expect("they were taken before");
    let again = over(same_tree(&below, &spool), upper, &[], &spool);
    let again = again.expect("over the same tree they are taken too");
    assert_eq!(
        expected,
        digest(&again).expect("a digest"),
        "over its own tar"
    );

    extract(&tree);
});

/// Where no archive lies, the plain account comes to the same.
fn model(layers: &[LayerPlan], plain: &[(Vec<u8>, Vec<u8>)], spool: &Arc<Spool>) {
    let mut model = Model::default();
    let mut tree = Tree::new();
    for (plan, (archive, _)) in layers.iter().zip(plain) {
        if !plan.is_honest() {
            return;
        }
        let layer = match read(archive, archive, &[], spool, &budget()) {
            Ok(layer) => layer,
            // More bytes than may be: nothing else is refused of an honest archive.
            Err(error) => {
                assert!(error.to_string().contains("more than"), "{error}");
                return;
            }
        };
        assert_eq!(layer.len(), plan.entries.len());
        let applied = layer.apply(&mut tree);
        match model.apply(&plan.entries) {
            Ok(()) => {
                applied.expect("the model takes it");
                model.hold(&tree);
            }
            Err(fuzz::model::Stop::Refused) => {
                applied.expect_err("the model refuses it");
                return;
            }
            Err(fuzz::model::Stop::Unknown) => return,
        }
    }
}

/// Into a folder, and nothing beside it.
fn extract(tree: &Tree) {
    let mut tar = Vec::new();
    supply::tree::write_tar(tree, &mut tar).expect("a tree that is written");
    let outer = tempfile::tempdir().expect("a folder");
    let inner = outer.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    // It can fail: a file where another file's folder should be, when links are in play.
    let links = extract_tar(tar.as_slice(), &inner, &|path| Some(path.to_owned()));
    for link in links.into_iter().flatten() {
        let (Link::Symbolic { place, .. } | Link::Hard { place, .. }) = link;
        check_path(place.as_bytes()).expect("a place below");
    }
    let beside: Vec<_> = std::fs::read_dir(outer.path()).expect("a folder").collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}
