//! Code that means harm, or is just unlucky: each has an end, and the next call works.

use std::time::{Duration, Instant};

use becket_egress::AttemptError;
use becket_egress::action::Transform as _;

use super::{input, pool_with, run, script};

/// What hostile code may come to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Comes {
    /// It fails, and says why.
    Fails,
    /// It is stopped by the clock.
    TimesOut,
    /// One or the other, as fast as the machine is.
    FailsOrTimesOut,
    /// It does no harm.
    Works,
}

use Comes::{Fails, FailsOrTimesOut, TimesOut, Works};

const HOSTILE: &[(&str, Comes, &str)] = &[
    ("endless loop", TimesOut, "while (true) {}"),
    ("endless loop in try", TimesOut, "for (;;) { try { for (;;) {} } catch { } finally { } }"),
    ("endless generator", TimesOut, "function* g() { for (;;) yield 1 } for (const x of g()) {}"),
    ("endless jobs", TimesOut, "return (async () => { for (;;) await null })()"),
    (
        "jobs that make jobs",
        FailsOrTimesOut,
        "const f = () => Promise.resolve().then(f); return f()",
    ),
    (
        "catastrophic regex",
        FailsOrTimesOut,
        "/^(a+)+$/.test('a'.repeat(40) + 'b'); while (true) {}",
    ),
    ("regex alone", TimesOut, "/(x+x+)+y/.test('x'.repeat(60)); for (;;) {}"),
    (
        "bad sort",
        TimesOut,
        "const a = []; for (let i = 0; i < 1e5; i++) a.push(i); for (;;) a.sort(() => Math.random() - 0.5)",
    ),
    ("big integers", FailsOrTimesOut, "let n = 3n; for (;;) n = n * n"),
    ("one big power", FailsOrTimesOut, "return 7n ** 9999999n"),
    (
        "indexOf over long texts",
        TimesOut,
        "const t = 'a'.repeat(5e6) + 'b'; for (;;) t.indexOf('a'.repeat(2e6) + 'c')",
    ),
    (
        "replaceAll over long texts",
        FailsOrTimesOut,
        "let t = 'a'.repeat(1e6); for (;;) t = t.replaceAll('a', 'b').slice(0, 1e6)",
    ),
    ("array of a thousand million", FailsOrTimesOut, "new Array(1e9).fill(0)"),
    ("join of holes", FailsOrTimesOut, "return new Array(4e9 >>> 0).join('x')"),
    ("growing array", FailsOrTimesOut, "const a = []; for (;;) a.push(new Array(1000).fill(1))"),
    ("growing text", Fails, "let t = 'x'; for (;;) t += t"),
    ("padded text", FailsOrTimesOut, "w.payload = 'x'.padStart(2 ** 29)"),
    ("large buffer", Fails, "new ArrayBuffer(2 ** 31)"),
    ("many buffers", FailsOrTimesOut, "const a = []; for (;;) a.push(new Uint8Array(1e6))"),
    ("growing map", FailsOrTimesOut, "const m = new Map(); for (let i = 0; ; i++) m.set(i, { i })"),
    (
        "memory caught again and again",
        TimesOut,
        "for (;;) { try { const a = []; for (;;) a.push(new Array(1e5).fill(0)) } catch {} }",
    ),
    ("recursion", FailsOrTimesOut, "const f = () => f() + 1; return f()"),
    (
        "recursion through getters",
        FailsOrTimesOut,
        "const o = { get a() { return this.a } }; return o.a",
    ),
    (
        "recursion through JSON",
        FailsOrTimesOut,
        "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; return JSON.stringify(o)",
    ),
    (
        "recursion through a proxy",
        FailsOrTimesOut,
        "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); return p.x",
    ),
    ("deep JSON parsed", FailsOrTimesOut, "return JSON.parse('['.repeat(1e6) + ']'.repeat(1e6))"),
    ("deep regex", Fails, "new RegExp('('.repeat(1e5) + ')'.repeat(1e5))"),
    ("deep source", FailsOrTimesOut, "eval('('.repeat(1e6))"),
    ("long source", FailsOrTimesOut, "eval('1+'.repeat(5e6) + '1'); for (;;) {}"),
    ("payload in a circle", Fails, "w.payload.self = w.payload; return w"),
    ("payload too large", FailsOrTimesOut, "w.payload = 'x'.repeat(3e6); return w"),
    ("payload of getters", TimesOut, "w.payload = { get a() { for (;;) {} } }; return w"),
    (
        "payload that never ends",
        FailsOrTimesOut,
        "w.payload = { toJSON() { return { again: this } } }; return w",
    ),
    (
        "payload of a proxy",
        TimesOut,
        "w.payload = new Proxy({}, { ownKeys() { for (;;) {} } }); return w",
    ),
    (
        "many keys from a proxy",
        FailsOrTimesOut,
        "w.headers = new Proxy({}, { ownKeys: () => Array.from({ length: 1e5 }, (_, i) => 'x' + i), getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }), get: () => '1' }); return w",
    ),
    ("a proxy returned", TimesOut, "return new Proxy(w, { get() { for (;;) {} } })"),
    ("getters on what is returned", Fails, "return { get payload() { throw new Error('mine') } }"),
    ("throwing nothing", Fails, "throw undefined"),
    ("throwing null", Fails, "throw null"),
    ("throwing a symbol", Fails, "throw Symbol('s')"),
    ("throwing a function", Fails, "throw () => {}"),
    ("throwing a proxy", TimesOut, "throw new Proxy({}, { get() { for (;;) {} } })"),
    ("throwing a trap", TimesOut, "throw { toJSON() { for (;;) {} } }"),
    (
        "throwing a lying error",
        TimesOut,
        "const e = new Error('x'); Object.defineProperty(e, 'message', { get() { for (;;) {} } }); throw e",
    ),
    ("throwing a huge error", FailsOrTimesOut, "throw new Error('x'.repeat(1e7))"),
    ("console that never ends", TimesOut, "for (;;) console.log('x'.repeat(1000))"),
    ("console with a trap", TimesOut, "console.log({ toJSON() { for (;;) {} } })"),
    ("console replaced", Works, "console = null; globalThis.console = 1; return w"),
    ("toJSON for all", Works, "Object.prototype.toJSON = () => 'gone'; return w"),
    (
        "JSON replaced",
        Works,
        "JSON.stringify = () => { throw 1 }; JSON.parse = null; JSON = 0; return w",
    ),
    (
        "arrays bent",
        Works,
        "Array.prototype[Symbol.iterator] = null; Array.prototype.push = () => { throw 1 }; Object.prototype.payload = 3; return w",
    ),
    (
        "setters for all",
        Works,
        "Object.defineProperty(Object.prototype, 'method', { set() { throw 1 }, get() { return 'GET' } }); return w",
    ),
    (
        "functions bent",
        Works,
        "Function.prototype.call = Reflect.apply = String.prototype.toWellFormed = null; return w",
    ),
    ("a bent prototype of payload", Works, "Object.setPrototypeOf(w, new Proxy({}, {})); return w"),
    ("frozen", Works, "Object.freeze(w); Object.freeze(Object.prototype); return w"),
    ("constructor of functions", Works, "return new Function('w', 'return w')(w)"),
    ("constructor of functions, endless", TimesOut, "new Function('for (;;) {}')()"),
    ("eval in the global scope", Works, "return (0, eval)('(x) => x')(w)"),
    ("dynamic import", Fails, "return import('fs')"),
    ("dynamic import of a file", Fails, "return import('/etc/passwd')"),
    (
        "waiting for another thread",
        Fails,
        "const b = new SharedArrayBuffer(4); Atomics.wait(new Int32Array(b), 0, 0)",
    ),
    ("require", Fails, "return require('child_process')"),
    ("process", Fails, "return process.exit(1)"),
    ("std of the interpreter", Fails, "return std.exit(1)"),
    ("os of the interpreter", Fails, "return os.exec(['sh'])"),
    ("fetch", Fails, "return fetch('http://127.0.0.1/')"),
    ("timer", Fails, "return new Promise((done) => setTimeout(done, 1))"),
    (
        "a date out of range",
        Works,
        "new Date(8.64e15 + 1).getTime(); new Date(NaN).toString(); return w",
    ),
    (
        "collected too late",
        Works,
        "new FinalizationRegistry(() => { for (;;) {} }).register({}, 1); return w",
    ),
];

#[tokio::test]
async fn hostile_code_has_an_end_and_harms_no_later_call() {
    let pool = pool_with(|config| config.wall = Duration::from_millis(600));
    let good = script(&pool, 7, "function handler(w) { w.payload.ok = true; return w }");
    for (number, (name, comes, code)) in HOSTILE.iter().enumerate() {
        let code = format!("function handler(w) {{ {code}\n; return w }}");
        let began = Instant::now();
        let result = script(&pool, 100 + number as u64, &code).transform(input("{\"a\":1}")).await;
        let took = began.elapsed();
        let error = result.as_ref().err().map(|failure| failure.error);
        let as_said = match comes {
            Fails => error == Some(AttemptError::TransformFailed),
            TimesOut => error == Some(AttemptError::TransformTimeout),
            FailsOrTimesOut => error.is_some(),
            Works => error.is_none(),
        };
        assert!(as_said, "{name}: {comes:?}, but {result:?}");
        // Twice the time, because a call that was killed to make room starts again.
        assert!(took < Duration::from_secs(5), "{name} took {took:?}");
        if let Err(failure) = &result {
            assert!(failure.note.len() < 500, "{name}: {}", failure.note);
        }
        let made = good.transform(input("{}")).await;
        assert_eq!(made.expect(name).body, "{\"ok\":true}", "after {name}");
    }
}

#[tokio::test]
async fn hostile_code_outside_the_handler_has_an_end_too() {
    for code in ["for (;;) {}", "let n = 3n; for (;;) n = n * n", "const f = () => f(); f()"] {
        let failure = run(code, "{}").await.expect_err("stopped");
        assert!(!failure.note.is_empty());
    }
}

#[tokio::test]
async fn bodies_that_are_too_much_are_a_failure() {
    // Unoptimised builds parse slowly.
    let pool = pool_with(|config| config.wall = Duration::from_secs(20));
    let same = script(&pool, 1, "function handler(w) { return w }");
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let failure = same.transform(input(deep)).await.expect_err("too deep");
    assert!(failure.note.contains("too large or too deep"), "{}", failure.note);
    // Five megabytes are no trouble, whatever is in them.
    let numbers = format!("[{}1]", "1,".repeat(2_500_000));
    let made = same.transform(input(numbers.clone())).await;
    assert_eq!(made.expect("large").body, numbers);
    let text = format!("\"{}\"", "x".repeat(5_000_000));
    assert_eq!(same.transform(input(text.clone())).await.expect("large").body, text);
    // So many small things are too much, and say so.
    let many = format!("[{}{{}}]", "{},".repeat(3_000_000));
    let failure = same.transform(input(many)).await.expect_err("too many");
    assert_ne!(failure.note, "", "{failure:?}");
    let grow = "function handler(w) { w.payload = w.payload + w.payload + w.payload; return w }";
    let failure = script(&pool, 1, grow).transform(input("y".repeat(900_000))).await;
    assert!(failure.expect_err("too large").note.contains("at most 1800000"));
    let grow = "function handler(w) { w.payload = w.payload + w.payload; return w }";
    let made = script(&pool, 1, grow).transform(input("y".repeat(900_000))).await;
    assert_eq!(made.expect("twice").body.len(), 1_800_000);
}
