//! The screens as they are drawn, on a terminal in memory.

use bytes::Bytes;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::listen::state::tests::parcel;
use crate::listen::state::{About, Key, Reply};
use crate::listen::wire::Parcel;

fn scene() -> Scene {
    Scene { palette: Palette::colours(), zone: jiff::tz::TimeZone::UTC, now_ms: 50_000 }
}

fn about() -> About {
    About {
        name: "ann@laptop".to_owned(),
        gateway: "https://hooks.example.com".to_owned(),
        forward_to: "http://localhost:3000/webhooks".to_owned(),
        sources: vec!["github".to_owned(), "stripe".to_owned()],
        ..About::default()
    }
}

/// What a screen of this size shows, row by row.
fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, &scene())).unwrap();
    let buffer = terminal.backend().buffer().clone();
    (0..height)
        .map(|y| {
            let row: String = (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect();
            row.trim_end().to_owned()
        })
        .collect()
}

fn filled() -> App {
    let mut app = App::new(about());
    app.link = Link::Connected;
    for (at, (event_type, status)) in
        [("push", 200), ("invoice.payment_succeeded", 500), ("ping", 204)].into_iter().enumerate()
    {
        let late = at == 1;
        let parcel = Parcel {
            late,
            received_at_ms: if late { 1_000 } else { 40_000 },
            ..parcel(&format!("msg_{at}"), event_type)
        };
        let body = Bytes::from(r#"{"ref":"refs/heads/main","n":1,"list":["a"]}"#);
        app.came(&parcel, &body, "http://localhost:3000/webhooks", 43_000);
        let number = app.selected().unwrap().number;
        app.answered(number, Reply { status: Some(status), took_us: 4_200, ..Reply::default() });
    }
    app
}

#[test]
fn an_ordinary_screen() {
    let mut app = filled();
    let rows = screen(&mut app, 80, 24);
    assert!(
        rows[0].starts_with(" becket listen  ann@laptop  → http://localhost:3000/webhooks"),
        "{rows:#?}"
    );
    assert!(rows[0].ends_with("● connected"), "{rows:#?}");
    assert!(rows[2].starts_with(" TIME      SOURCE        EVENT TYPE"), "{rows:#?}");
    assert_eq!(
        rows[3],
        " 00:00:43  github        push                                   200      4.2 ms"
    );
    assert!(
        rows[4].contains("late invoice.payment_succeeded") && rows[4].contains("500"),
        "{rows:#?}"
    );
    assert!(rows[23].starts_with(" ? help  q quit  ⏎ details  r replay  c curl"), "{rows:#?}");
    assert!(rows[23].ends_with("2 ok  1 failed"), "{rows:#?}");
    let narrow = screen(&mut app, 40, 10);
    assert!(narrow[4].contains("late invoice.paymen…") && narrow[4].contains("500"), "{narrow:#?}");
    let wide = screen(&mut app, 110, 24);
    assert!(wide[4].contains("  late by 42 s"), "{wide:#?}");
}

#[test]
fn details_show_request_and_response() {
    let mut app = filled();
    app.key(Key::Up, 0);
    app.key(Key::Enter, 0);
    let reply = Reply {
        status: Some(500),
        headers: vec![("x-a".to_owned(), "b".to_owned())],
        body: Bytes::from_static(b"oh no"),
        took_us: 12_000,
        ..Reply::default()
    };
    app.answered(2, reply);
    let rows = screen(&mut app, 80, 40);
    let all = rows.join("\n");
    for expected in [
        "msg_1",
        " invoice.payment_succeeded  500 in 12 ms  late by 42 s",
        " POST http://localhost:3000/webhooks",
        " Response body  5 B, text",
        "  oh no",
        "  content-type: application/json",
        "    \"ref\": \"refs/heads/main\",",
    ] {
        assert!(all.contains(expected), "no `{expected}` in\n{all}");
    }
    let wide = screen(&mut app, 160, 20).join("\n");
    assert!(wide.contains("│"), "side by side:\n{wide}");
    app.key(Key::End, 0);
    let rows = screen(&mut app, 80, 24).join("\n");
    assert!(rows.contains(" of ") && !rows.contains("Response body"), "scrolled:\n{rows}");
}

#[test]
fn an_empty_list_says_what_it_waits_for() {
    let mut app =
        App::new(About { receives_at: vec!["http://127.0.0.1:8080/in/dev".into()], ..about() });
    let all = screen(&mut app, 80, 24).join("\n");
    for expected in
        ["Waiting for events.", "http://127.0.0.1:8080/in/dev", "github, stripe", "○ connecting"]
    {
        assert!(all.contains(expected), "no `{expected}` in\n{all}");
    }
    app.filter = "x".to_owned();
    assert!(screen(&mut app, 80, 24).join("\n").contains("Nothing fits the filter"));
}

#[test]
fn every_size_can_be_drawn() {
    for keys in [
        &[][..],
        &[Key::Enter],
        &[Key::Character('?')],
        &[Key::Character('c')],
        &[Key::Character('f')],
    ] {
        let mut app = filled();
        app.link = Link::Lost("the gateway is gone \u{1b}[2J".to_owned());
        app.notice("something was noticed", 0);
        for key in keys {
            app.key(*key, 0);
        }
        for (width, height) in [(1, 1), (2, 3), (10, 2), (20, 4), (40, 10), (80, 24), (200, 60)] {
            let rows = screen(&mut app, width, height);
            assert!(!rows.join("").contains('\u{1b}'));
        }
    }
}

#[test]
fn hostile_texts_are_shown_harmless() {
    let mut app = App::new(about());
    let hostile = "\u{1b}]0;x\u{7}\u{202e}evil\u{9b}";
    let parcel = Parcel {
        source: hostile.to_owned(),
        event_type: Some(hostile.to_owned()),
        headers: vec![(hostile.to_owned(), hostile.to_owned())],
        ..parcel(hostile, hostile)
    };
    let body = Bytes::from(format!("{{\"a\":\"\\u001b[31m\\u202e{}\"}}", "b"));
    app.came(&parcel, &body, hostile, 0);
    let reply = Reply { status: Some(400), body: Bytes::from(hostile), ..Reply::default() };
    app.answered(1, reply);
    app.key(Key::Enter, 0);
    let all = screen(&mut app, 100, 50).join("\n");
    let harmful =
        |character: char| character != '\n' && (character.is_control() || character == '\u{202e}');
    assert!(!all.contains(harmful), "{all}");
    assert!(all.contains("␛]0;x␇<U+202E>evil<U+009B>"), "{all}");
}

#[test]
fn without_colours_nothing_has_one() {
    let mut app = filled();
    app.key(Key::Enter, 0);
    let scene = Scene { palette: Palette::monochrome(), ..scene() };
    let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
    terminal.draw(|frame| draw(frame, &mut app, &scene)).unwrap();
    let plain = ratatui::style::Color::Reset;
    let buffer = terminal.backend().buffer();
    assert!(buffer.content().iter().all(|cell| cell.fg == plain && cell.bg == plain));
}
