//! Entries, templates and places from any text.

use becket_signature::{Entry, Place, Template};

/// Reads the bytes as an entry, a template and a place. What is accepted is written as it was read.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(template) = Template::parse(text) {
        assert_eq!(template.to_string(), text);
        assert_eq!(Template::parse(&template.to_string()).as_ref(), Ok(&template));
        for variable in template.variables() {
            assert!(!variable.to_string().is_empty());
        }
    }
    if let Ok(place) = Place::parse(text) {
        assert_eq!(Place::parse(&place.to_string()).as_ref(), Ok(&place));
        if let Some(variable) = place.single() {
            let shown = variable.to_string();
            assert_eq!(Place::parse(&shown).ok().as_ref().and_then(Place::single), Some(variable));
        }
    }
    match Entry::from_toml(text) {
        Ok(entry) => {
            let written = toml::to_string(&entry).expect("an entry can be written");
            let again = Entry::from_toml(&written).expect("what was written can be read");
            assert_eq!(entry, again, "{written}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
