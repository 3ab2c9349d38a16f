//! The state of the view, key by key and event by event.

use super::*;

pub(crate) fn parcel(id: &str, event_type: &str) -> Parcel {
    Parcel {
        token: id.to_owned(),
        event_id: id.to_owned(),
        event_type: Some(event_type.to_owned()),
        source: "github".to_owned(),
        endpoint_id: "ep_1".to_owned(),
        attempt: 1,
        received_at_ms: 1_000,
        late: false,
        method: "POST".to_owned(),
        path: "/in/github".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: None,
        body_bytes: 2,
        timeout_ms: 1_000,
    }
}

fn reply(status: u16) -> Reply {
    Reply { status: Some(status), took_us: 4_200, ..Reply::default() }
}

fn app(count: usize) -> App {
    let mut app = App::new(About::default());
    for at in 0..count {
        let event_type = if at % 2 == 0 { "push" } else { "pull_request" };
        let body = Bytes::from(format!("{{\"at\":{at}}}"));
        let parcel = parcel(&format!("msg_{at}"), event_type);
        app.came(&parcel, &body, "http://localhost:3000/w", 2_000);
    }
    app
}

fn press(app: &mut App, keys: &str) {
    for character in keys.chars() {
        let key = match character {
            '\n' => Key::Enter,
            '\u{8}' => Key::Backspace,
            other => Key::Character(other),
        };
        app.key(key, 0);
    }
}

#[test]
fn repeats_are_never_silent() {
    let mut app = App::new(About::default());
    let body = Bytes::from_static(b"{}");
    let mut mark = |parcel: &Parcel| app.came(parcel, &body, "", 0).mark;
    let first = parcel("msg_1", "push");
    assert_eq!(mark(&first), Mark::New);
    assert_eq!(mark(&first), Mark::Repeat, "seen before");
    assert_eq!(mark(&Parcel { attempt: 2, ..parcel("msg_2", "push") }), Mark::Repeat);
    let late = Parcel { late: true, ..parcel("msg_3", "push") };
    assert_eq!(mark(&late), Mark::Late);
    assert_eq!(mark(&late), Mark::Repeat, "a repeat says more than late");
}

#[test]
fn the_selection_follows_the_newest_until_it_is_moved() {
    let mut app = app(5);
    let selected = |app: &App| app.selected().unwrap().number;
    assert_eq!(selected(&app), 5);
    app.key(Key::Up, 0);
    app.came(&parcel("msg_x", "push"), &Bytes::new(), "", 0);
    assert_eq!(selected(&app), 4, "it stays where it is");
    assert!(!app.is_following());
    app.key(Key::End, 0);
    assert_eq!(selected(&app), 6);
    app.key(Key::Home, 0);
    assert_eq!(selected(&app), 1);
    app.key(Key::Up, 0);
    app.key(Key::PageDown, 0);
    assert_eq!(selected(&app), 6);
    assert!(app.is_following(), "at the end again");
}

#[test]
fn memory_is_bounded() {
    let mut app = app(ENTRIES_MAX + 10);
    assert_eq!(app.shown().count(), ENTRIES_MAX);
    assert_eq!(app.shown().next().unwrap().number, 11);
    let large = Bytes::from(vec![b'x'; BODIES_MAX_BYTES / 2]);
    for id in ["a", "b", "c"] {
        app.came(&parcel(id, "push"), &large, "", 0);
    }
    assert!(app.bodies_bytes <= BODIES_MAX_BYTES, "{}", app.bodies_bytes);
    assert!(app.selected().unwrap().body.is_some(), "the newest is kept");
    app.key(Key::Home, 0);
    assert!(app.selected().unwrap().body.is_none());
    assert_eq!(app.key(Key::Character('c'), 5), None);
    assert!(app.noticed(6).unwrap().contains("no longer kept"));
    assert_eq!(app.noticed(5 + NOTICE_MS), None);
}

#[test]
fn filters_choose_what_is_shown() {
    let mut app = app(4);
    app.answered(1, reply(200));
    app.answered(2, reply(500));
    app.answered(4, Reply { error: Some("connect_refused"), ..Reply::default() });
    let shown = |app: &App| app.shown().map(|entry| entry.number).collect::<Vec<_>>();
    for (filter, expected) in [
        ("type:pull", &[2, 4][..]),
        ("source:git push", &[1, 3]),
        ("status:5", &[2]),
        ("failed", &[2, 4]),
        ("late", &[]),
        ("msg_3", &[4]),
        ("", &[1, 2, 3, 4]),
    ] {
        app.filter = filter.to_owned();
        assert_eq!(shown(&app), expected, "{filter}");
    }
    press(&mut app, "ffailedx\u{8}\n");
    assert_eq!((&app.filter[..], shown(&app)), ("failed", vec![2, 4]));
    assert_eq!(app.selected().unwrap().number, 4);
    app.key(Key::Escape, 0);
    assert_eq!(shown(&app).len(), 4);
    assert_eq!(app.counts, Counts { succeeded: 1, failed: 2 });
}

#[test]
fn a_search_goes_upwards_and_round() {
    let mut app = app(5);
    press(&mut app, "/\"AT\":1\n");
    assert_eq!(app.selected().unwrap().number, 2);
    press(&mut app, "/push\n");
    assert_eq!(app.selected().unwrap().number, 1);
    press(&mut app, "n");
    assert_eq!(app.selected().unwrap().number, 5);
    press(&mut app, "/nowhere\n");
    assert_eq!(app.selected().unwrap().number, 5);
    assert_eq!(app.noticed(1), Some("nothing has `nowhere`"));
}

#[test]
fn keys_ask_for_what_the_state_cannot_do() {
    let mut app = app(2);
    let replay = Wish::Replay { event_id: "msg_1".to_owned(), endpoint_id: "ep_1".to_owned() };
    assert_eq!(app.key(Key::Character('r'), 0), Some(replay));
    assert_eq!(app.key(Key::Character('p'), 0), Some(Wish::Pause));
    app.link = Link::Paused;
    assert_eq!(app.key(Key::Character('p'), 0), Some(Wish::Resume));
    let Some(Wish::Copy(line)) = app.key(Key::Character('c'), 0) else { panic!() };
    assert!(line.contains("'http://localhost:3000/w'") && line.contains("{\"at\":1}"), "{line}");
    assert_eq!(app.popup, Some(Popup::Curl(line)));
    assert_eq!(app.key(Key::Character('q'), 0), None, "it closes what lies on top");
    assert_eq!(app.key(Key::Character('q'), 0), Some(Wish::Quit));
    press(&mut app, "f");
    assert_eq!(app.key(Key::Character('q'), 0), None, "it is typed");
    assert_eq!(app.key(Key::Interrupt, 0), Some(Wish::Quit));
}

#[test]
fn details_are_scrolled_within_their_lines() {
    let mut app = app(1);
    app.key(Key::Enter, 0);
    assert_eq!((app.detail, app.focus), (true, Focus::Detail));
    app.detail_extent = (30, 10);
    app.key(Key::Down, 0);
    app.key(Key::PageDown, 0);
    assert_eq!(app.scroll, 10);
    app.key(Key::End, 0);
    assert_eq!(app.scroll, 20);
    app.key(Key::Tab, 0);
    assert_eq!(app.focus, Focus::List);
    app.key(Key::Escape, 0);
    assert!(!app.detail);
}
