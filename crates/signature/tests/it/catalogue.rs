//! The catalogue as a whole: complete, readable, consistent.

use std::collections::BTreeSet;

use becket_signature::{Catalogue, Entry, unsigned_body_warning};

use crate::vectors::catalogue_folder;

#[test]
fn the_list_is_the_folder() {
    let files: BTreeSet<String> = std::fs::read_dir(catalogue_folder())
        .expect("the folder is there")
        .filter_map(|file| {
            let path = file.expect("is readable").path();
            (path.extension()? == "toml")
                .then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))?
        })
        .collect();
    let listed: Vec<&str> = Catalogue::builtin().slugs().collect();
    assert!(listed.is_sorted(), "the list must be sorted: it is searched by halving");
    assert!(listed.len() > 150, "only {} entries were listed", listed.len());
    assert_eq!(files, listed.iter().map(|slug| (*slug).to_owned()).collect());
}

#[test]
fn every_entry_is_complete() {
    let catalogue = Catalogue::builtin();
    for slug in catalogue.slugs() {
        let text = catalogue.text(slug).expect("is listed");
        let read = Entry::from_toml(text).unwrap_or_else(|error| panic!("{slug}.toml: {error}"));
        let entry = catalogue.get(slug).expect("is listed");
        assert_eq!(*entry, read, "{slug}");
        assert_eq!(entry.slug(), slug);
        assert!(!entry.name().is_empty() && !entry.source().is_empty(), "{slug}");
        assert!(entry.guide().len() > 80, "{slug} needs a guide");
        let value = toml::Value::try_from(&*entry).expect("can be written");
        assert_eq!(*entry, Entry::from_value(value).expect("reads"), "{slug}: written and read");
    }
    assert_eq!(catalogue.list().len(), catalogue.slugs().count());
    assert!(catalogue.get("nobody").is_none());
}

#[test]
fn what_a_signature_does_not_cover_is_said() {
    let get = |slug: &str| Catalogue::builtin().get(slug).expect("is listed");
    for slug in ["none", "token", "basic", "gitlab"] {
        assert!(unsigned_body_warning(&get(slug)).is_some(), "{slug}");
    }
    for slug in ["github", "stripe", "twilio", "square", "discord", "standardwebhooks"] {
        assert_eq!(unsigned_body_warning(&get(slug)), None, "{slug}");
    }
    assert_eq!(get("github").delivery_id_is_signed(), Some(false));
    assert_eq!(get("stripe").delivery_id_is_signed(), Some(true));
    assert_eq!(get("standardwebhooks").delivery_id_is_signed(), Some(true));
    assert_eq!(get("none").delivery_id_is_signed(), None);
    assert_eq!(get("github").body_limit(), Some(25 * 1024 * 1024));
}
