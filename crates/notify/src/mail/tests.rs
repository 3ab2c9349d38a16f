//! What cannot be a mail server, an address or a message's id.

use super::*;

fn settings() -> MailSettings {
    MailSettings {
        host: "mail.example.com".to_owned(),
        port: None,
        security: MailSecurity::StartTls,
        login: None,
        from: "Becket <becket@example.com>".to_owned(),
        to: vec!["ops@example.com".to_owned()],
        hello: None,
    }
}

#[test]
fn wrong_settings_are_refused() {
    let open = MailSettings {
        security: MailSecurity::None,
        login: Some(("me".to_owned(), "secret".to_owned())),
        ..settings()
    };
    let here = MailSettings { host: "127.0.0.1".to_owned(), ..open.clone() };
    let cases = [
        (settings(), None),
        (MailSettings { from: "nobody".to_owned(), ..settings() }, Some("notify_address")),
        (
            MailSettings { from: "a@b.c\r\nBcc: d@e.f".to_owned(), ..settings() },
            Some("notify_address"),
        ),
        (MailSettings { to: vec![], ..settings() }, Some("notify_no_recipient")),
        (MailSettings { to: vec!["a b".to_owned()], ..settings() }, Some("notify_address")),
        (MailSettings { host: "mail example".to_owned(), ..settings() }, Some("notify_server")),
        (MailSettings { host: String::new(), ..settings() }, Some("notify_server")),
        (open, Some("notify_plain_password")),
        (here, None),
    ];
    for (settings, expected) in cases {
        let shown = format!("{settings:?}");
        assert!(!shown.contains("secret"), "{shown}");
        let code = Mailer::new(settings).err().map(|error| error.code());
        assert_eq!(code, expected, "{shown}");
    }
}

#[test]
fn ids_are_made_from_events() {
    let mailer = Mailer::new(settings()).expect("the settings can work");
    let id = |event, total| mailer.message_id(&MailId { event, total });
    assert_eq!(id("msg_1a", 1), "<msg_1a@example.com>");
    assert_eq!(id("msg_1a", 12), "<msg_1a.12@example.com>");
    assert_eq!(id("m>\r\nX: y", 1), "<mXy@example.com>");
}
