use super::*;

fn archive(names: &[&str]) -> Vec<u8> {
    let mut tree = Tree::new();
    for name in names {
        let inode = crate::tree::Inode::file(0o644, *name);
        tree.insert(name.as_bytes(), inode).unwrap();
    }
    let mut bytes = Vec::new();
    crate::tree::write_tar(&tree, &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8], diff_id: &Digest) -> Result<Layer, OciError> {
    let limits = Limits::default();
    let spool = Spool::new(&std::env::temp_dir()).unwrap();
    let budget = Budget::new(limits.bytes, limits.entries);
    layer("layer", bytes, diff_id, &spool, &budget, limits)
}

#[test]
fn a_layer_without_an_end_is_whole_if_its_digest_says_so() {
    let whole = archive(&["a", "b"]);
    let members = read(&whole, &Digest::of(&whole)).unwrap().len();
    let end = whole.len() - 1024;
    assert_eq!(
        read(&whole[..end], &Digest::of(&whole[..end]))
            .unwrap()
            .len(),
        members
    );
    // Cut short, and so another digest than the one that was promised.
    assert!(matches!(
        read(&whole[..end], &Digest::of(&whole)),
        Err(OciError::Digest { .. })
    ));
    // Inside a member no digest helps.
    assert!(matches!(
        read(&whole[..end - 512], &Digest::of(&whole[..end - 512])),
        Err(OciError::Layer { .. })
    ));
}
