//! An interpreter of its own for each call: limits, and what the code finds there.
//!
//! Invariants: nothing of one call is left for the next, not even memory; the functions that a call
//! needs afterwards are taken before the user's code could have changed them.
//!
//! Absent: files, sockets, timers, modules, the host's environment, threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rquickjs::function::Rest;
use rquickjs::{Coerced, Context, Ctx, Function, Object, Runtime, Value};

use crate::limits;

/// The interpreter's own stack, in bytes; far less than the process has.
const STACK_BYTES: usize = 512 * 1024;
/// How the user's code is called in traces.
pub(super) const FILE: &str = "transformation.js";

/// What is taken before the user's code runs. Each is a function of one argument.
const TOOLS: &str = r"(() => {
  const call = Function.prototype.call, apply = Reflect.apply;
  const wellFormed = String.prototype.toWellFormed, chars = String.fromCharCode;
  const Bytes = Uint8Array, Buffer = ArrayBuffer, slice = Uint8Array.prototype.subarray;
  const isView = ArrayBuffer.isView;
  return {
    wellFormed: text => apply(wellFormed, text, []),
    bytes: value => {
      if (!isView(value) && !(value instanceof Buffer)) return undefined;
      const bytes = isView(value)
        ? new Bytes(value.buffer, value.byteOffset, value.byteLength) : new Bytes(value);
      let text = '';
      for (let at = 0; at < bytes.length; at += 4096)
        text += apply(chars, undefined, apply(slice, bytes, [at, at + 4096]));
      return text;
    },
  };
})()";

/// What a call is watched by.
pub(super) struct Watch {
    until: Instant,
    interrupted: Cell<bool>,
    log: RefCell<String>,
    log_full: Cell<bool>,
}

impl Watch {
    /// Whether the time is up; remembered, because the code may go on in another way.
    pub(super) fn is_over(&self) -> bool {
        if !self.interrupted.get() && Instant::now() >= self.until {
            self.interrupted.set(true);
        }
        self.interrupted.get()
    }

    /// Whether the interpreter was told to stop.
    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// What was written to the console.
    pub(super) fn take_log(&self) -> String {
        self.log.take()
    }

    fn write(&self, line: &str) {
        if self.log_full.get() {
            return;
        }
        let mut log = self.log.borrow_mut();
        let room = limits::LOG_BYTES_MAX - log.len();
        if line.len() < room {
            log.push_str(line);
            log.push('\n');
        } else {
            log.push_str(&line[..line.floor_char_boundary(room.saturating_sub(1))]);
            log.push('\u{2026}');
            self.log_full.set(true);
        }
    }
}

/// Functions that the user's code cannot have changed.
pub(super) struct Tools<'js> {
    well_formed: Function<'js>,
    bytes: Function<'js>,
}

impl<'js> Tools<'js> {
    /// A text in Rust; halves of characters become replacement characters.
    pub(super) fn text(&self, text: &rquickjs::String<'js>) -> rquickjs::Result<String> {
        match text.to_string() {
            Err(rquickjs::Error::Utf8(_)) => {
                let whole: rquickjs::String<'js> = self.well_formed.call((text.clone(),))?;
                whole.to_string()
            }
            other => other,
        }
    }

    /// The bytes of a buffer or of a view of one; `None` if the value is neither.
    pub(super) fn bytes(&self, value: &Value<'js>) -> rquickjs::Result<Option<Vec<u8>>> {
        let text: Option<rquickjs::String<'js>> = self.bytes.call((value.clone(),))?;
        let Some(text) = text else { return Ok(None) };
        // Each character is one byte; the interpreter hands them out as UTF-8.
        Ok(Some(text.to_string()?.chars().map(|one| u8::try_from(one).unwrap_or(b'?')).collect()))
    }
}

/// Runs `work` in a fresh interpreter.
pub(super) fn with<R>(
    heap_bytes: usize,
    time: Duration,
    work: impl for<'js> FnOnce(&Ctx<'js>, &Tools<'js>, &Rc<Watch>) -> rquickjs::Result<R>,
) -> (rquickjs::Result<R>, Rc<Watch>) {
    let watch = Rc::new(Watch {
        until: Instant::now() + time,
        interrupted: Cell::new(false),
        log: RefCell::default(),
        log_full: Cell::new(false),
    });
    let result = enter(heap_bytes, &watch, work);
    (result, watch)
}

fn enter<R>(
    heap_bytes: usize,
    watch: &Rc<Watch>,
    work: impl for<'js> FnOnce(&Ctx<'js>, &Tools<'js>, &Rc<Watch>) -> rquickjs::Result<R>,
) -> rquickjs::Result<R> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(heap_bytes);
    runtime.set_max_stack_size(STACK_BYTES);
    let clock = Rc::clone(watch);
    runtime.set_interrupt_handler(Some(Box::new(move || clock.is_over())));
    let context = Context::full(&runtime)?;
    context.with(|ctx| {
        let tools: Object<'_> = ctx.eval(TOOLS)?;
        let tools = Tools { well_formed: tools.get("wellFormed")?, bytes: tools.get("bytes")? };
        furnish(&ctx, watch)?;
        work(&ctx, &tools, watch)
    })
}

/// Puts the console where code expects it.
fn furnish<'js>(ctx: &Ctx<'js>, watch: &Rc<Watch>) -> rquickjs::Result<()> {
    let console = Object::new(ctx.clone())?;
    for level in ["log", "info", "debug", "warn", "error"] {
        let watch = Rc::clone(watch);
        let write = move |ctx: Ctx<'js>, values: Rest<Value<'js>>| -> rquickjs::Result<()> {
            let mut line = if level == "log" { String::new() } else { format!("{level}: ") };
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    line.push(' ');
                }
                let shown = shown(&ctx, value);
                if watch.was_interrupted() {
                    return Err(ctx.throw(Value::new_undefined(ctx.clone())));
                }
                line.push_str(&shown);
            }
            watch.write(&line);
            Ok(())
        };
        console.set(level, Function::new(ctx.clone(), write)?)?;
    }
    ctx.globals().set("console", console)
}

/// A value as the console shows it. Code of the user may run, and fail.
pub(super) fn shown<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> String {
    try_shown(ctx, value).unwrap_or_else(|_| {
        ctx.catch();
        format!("[{}]", kind(value))
    })
}

/// What a value is, in a word.
pub(super) fn kind(value: &Value<'_>) -> &'static str {
    use rquickjs::Type;
    match value.type_of() {
        _ if value.is_function() => "a function",
        Type::Uninitialized | Type::Undefined => "undefined",
        Type::Null => "null",
        Type::Bool => "a boolean",
        Type::Int | Type::Float => "a number",
        Type::String => "a text",
        Type::Symbol => "a symbol",
        Type::BigInt => "a bigint",
        Type::Array => "an array",
        _ => "an object",
    }
}

fn try_shown<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> rquickjs::Result<String> {
    if let Some(function) = value.as_function() {
        let name: Option<Coerced<String>> = function.get("name")?;
        return Ok(format!("[function {}]", name.map_or_else(String::new, |name| name.0)));
    }
    if let Some(object) = value.as_object() {
        if object.is_error() {
            let part = |name| object.get::<_, Option<Coerced<String>>>(name);
            let name = part("name")?.map_or_else(|| "Error".to_owned(), |text| text.0);
            let message = part("message")?.map_or_else(String::new, |text| text.0);
            return Ok(format!("{name}: {message}"));
        }
        if let Some(json) = ctx.json_stringify(value.clone())? {
            return json.to_string();
        }
    }
    value.get::<Coerced<String>>().map(|text| text.0)
}
