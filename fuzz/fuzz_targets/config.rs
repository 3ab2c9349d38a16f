//! Any text as `becket.toml`: it is accepted or refused with reasons, and never anything else.
//!
//! What is accepted can be used: every source has a verifier or a known reason, every endpoint has an
//! id, and what is shown and what goes into logs can be made.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match becket::config::parse(text) {
        Ok(loaded) => {
            let config = &loaded.config;
            for source in &config.sources {
                assert!(!source.id.is_empty());
                assert!(config.verifier_of(source).is_some_and(|verifier| verifier.is_ok()));
                for endpoint in &source.endpoints {
                    assert!(!endpoint.id.is_empty());
                    assert!(endpoint.signing_secret().is_ok());
                }
            }
            assert!(!config.settings(&loaded.origins).is_empty());
            for warning in &loaded.warnings {
                assert!(!warning.one_line().is_empty());
            }
        }
        Err(errors) => {
            assert!(errors.error_count() > 0);
            assert!(!errors.to_string().is_empty());
            for problem in &errors.problems {
                if let Some(place) = &problem.place {
                    assert!(place.line >= 1 && place.column >= 1 && place.width >= 1);
                }
            }
        }
    }
});
