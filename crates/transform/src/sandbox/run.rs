//! One call: what the handler is given, and what is read out of what it returns.
//!
//! Invariants: a payload that is the same afterwards leaves the body as it came, byte for byte; an
//! answer that cannot be understood is trouble, never a guess.

use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use rquickjs::context::EvalOptions;
use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Error, Function, Object, TypedArray, Value};

use super::describe::{self, trouble};
use super::realm::{self, FILE, Tools, Watch, kind};
use crate::limits;
use crate::wire::{Changes, Outcome, Reply, Request, Trouble};

/// A step that ended the call, or an error of the interpreter.
enum Stop {
    Interpreter(Error),
    Trouble(Trouble),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Interpreter(error)
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// The body as the handler sees it.
enum Payload {
    /// JSON; what its text would be without a change is kept as a hash.
    Json(u64),
    Text(String),
    Binary,
}

/// Runs a call. The second value is the new body, if there is one.
pub(super) fn call(request: &Request<'_>, body: Vec<u8>) -> (Reply, Vec<u8>) {
    let time = Duration::from_millis(request.interrupt_ms);
    let (result, watch) = realm::with(request.heap_bytes, time, |ctx, tools, watch| {
        let result = transform(ctx, tools, watch, request, body);
        Ok(match result {
            Ok(_) if watch.was_interrupted() => Err(describe::timed_out()),
            Ok(done) => Ok(done),
            Err(Stop::Trouble(trouble)) => Err(trouble),
            Err(Stop::Interpreter(error)) => Err(describe::error(ctx, watch, error)),
        })
    });
    let (result, body) = match result {
        Ok(Ok((outcome, body))) => (outcome, body),
        Ok(Err(trouble)) => (Outcome::Failed(trouble), Vec::new()),
        Err(_) => (Outcome::Failed(trouble("out of memory")), Vec::new()),
    };
    (Reply { result, log: watch.take_log(), processor_us: processor_us() }, body)
}

/// The processor time of this process since it began.
fn processor_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000).saturating_add(part(time.tv_nsec) / 1_000)
}

/// A first call, so that everything has been loaded that is loaded once.
pub(super) fn warm_up() {
    let code = "function handler(w) { new Date(0).getHours(); w.payload.b = /a+/u.exec('aa')[0];
        console.log(w); return Promise.resolve(w); }";
    let request = Request {
        code: code.into(),
        variables: Default::default(),
        check: false,
        method: "POST".into(),
        url: "".into(),
        headers: Vec::new(),
        event_type: None,
        interrupt_ms: 1_000,
        heap_bytes: limits::heap_bytes(0),
        output_bytes: limits::output_bytes(0),
    };
    drop(call(&request, b"{\"a\":1}".to_vec()));
}

fn transform<'js>(
    ctx: &Ctx<'js>,
    tools: &Tools<'js>,
    watch: &Watch,
    request: &Request<'_>,
    body: Vec<u8>,
) -> Result<(Outcome, Vec<u8>), Stop> {
    // All of this is made before the user's code could bend what it is made with.
    let given = Object::new(ctx.clone())?;
    let variables = Object::new(ctx.clone())?;
    for (name, value) in &request.variables {
        variables.set(name.as_str(), value.as_str())?;
    }
    ctx.globals().set("variables", variables.clone())?;
    let headers = Object::new(ctx.clone())?;
    for (name, value) in &request.headers {
        headers.set(name.as_str(), value.as_str())?;
    }
    given.set("method", request.method.as_ref())?;
    given.set("url", request.url.as_ref())?;
    given.set("eventType", request.event_type.as_deref())?;
    given.set("headers", headers.clone())?;
    given.set("variables", variables)?;
    let payload = if request.check { Payload::Binary } else { payload(ctx, &given, &body)? };

    let handler = load(ctx, &request.code)?;
    if request.check {
        return Ok((Outcome::Checked, Vec::new()));
    }
    let returned: Value<'js> = handler.call((given.clone(),))?;
    let returned = settled(ctx, watch, returned)?;
    let Some(made) = returned.as_object().filter(|_| !returned.is_function()) else {
        let what = kind(&returned);
        let text = format!("handler has to return the webhook object; it returned {what}");
        return Err(trouble(text).into());
    };
    if truthy(made.get("cancel")?) {
        return Ok((Outcome::Cancelled, Vec::new()));
    }
    let mut changes = Changes {
        method: text_of(tools, made, "method")?.filter(|method| *method != request.method),
        url: text_of(tools, made, "url")?.filter(|url| *url != request.url),
        ..Changes::default()
    };
    read_headers(tools, made, &headers, request, &mut changes)?;
    let body = read_body(ctx, tools, made.get("payload")?, &payload, &body)?;
    if let Some(new) = &body {
        if new.len() > request.output_bytes {
            let text = format!(
                "the payload became {} bytes long; at most {} are allowed",
                new.len(),
                request.output_bytes
            );
            return Err(trouble(text).into());
        }
        changes.body_changed = true;
    }
    Ok((Outcome::Done(changes), body.unwrap_or_default()))
}

/// Gives the handler the body: as JSON, or else as text, or else as bytes.
fn payload<'js>(ctx: &Ctx<'js>, given: &Object<'js>, body: &[u8]) -> Result<Payload, Stop> {
    let Ok(text) = std::str::from_utf8(body) else {
        given.set("payload", TypedArray::<u8>::new_copy(ctx.clone(), body)?)?;
        return Ok(Payload::Binary);
    };
    // Nothing but JSON begins like this; other texts need not be tried.
    let begins = text.trim_start_matches([' ', '\t', '\r', '\n']).bytes().next();
    let maybe = begins.is_some_and(|first| b"{[\"-0123456789tfn".contains(&first));
    if maybe {
        match ctx.json_parse(body) {
            Ok(value) => {
                let kept = ctx.json_stringify(value.clone())?;
                let kept = kept.map(|text| text.to_string()).transpose()?.unwrap_or_default();
                given.set("payload", value)?;
                return Ok(Payload::Json(hash(&kept)));
            }
            Err(Error::InvalidString(_)) => {}
            Err(error) => not_json(ctx, error)?,
        }
    }
    given.set("payload", text)?;
    Ok(Payload::Text(text.to_owned()))
}

/// Whether parsing failed because the body is no JSON, and not for want of memory or stack.
fn not_json(ctx: &Ctx<'_>, error: Error) -> Result<(), Stop> {
    if !error.is_exception() {
        return Err(error.into());
    }
    let thrown = ctx.catch();
    let name = thrown.as_object().map(|error| error.get::<_, Option<String>>("name"));
    match name {
        Some(Ok(Some(name))) if name == "SyntaxError" => Ok(()),
        _ => Err(trouble("the payload is too large or too deep to be parsed").into()),
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Evaluates the code and finds its handler.
fn load<'js>(ctx: &Ctx<'js>, code: &str) -> Result<Function<'js>, Stop> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(FILE.to_owned());
    if code.contains('\0') {
        return Err(trouble("the code contains a NUL character").into());
    }
    ctx.eval_with_options::<Value<'js>, _>(code, options)?;
    // Also found if it was declared with `const` or `let`.
    let found: Value<'js> = ctx.eval("typeof handler === 'undefined' ? undefined : handler")?;
    found.into_function().ok_or_else(|| {
        trouble(
            "there is no function called handler: function handler(webhook) { return webhook; }",
        )
        .into()
    })
}

/// The value of a promise, once everything that was waiting has run.
fn settled<'js>(ctx: &Ctx<'js>, watch: &Watch, value: Value<'js>) -> Result<Value<'js>, Stop> {
    let Some(promise) = value.as_promise() else { return Ok(value) };
    while promise.state() == PromiseState::Pending {
        if watch.is_over() {
            return Err(describe::timed_out().into());
        }
        if !ctx.execute_pending_job() {
            let text = "handler returned a promise that nothing settles; there are no timers and \
                        no network to wait for";
            return Err(trouble(text).into());
        }
    }
    promise.result().unwrap_or(Err(Error::WouldBlock)).map_err(Stop::from)
}

fn truthy(value: Value<'_>) -> bool {
    match value.type_of() {
        rquickjs::Type::Undefined | rquickjs::Type::Uninitialized | rquickjs::Type::Null => false,
        rquickjs::Type::Bool => value.as_bool() == Some(true),
        rquickjs::Type::Int | rquickjs::Type::Float => {
            value.as_number().is_some_and(|number| number != 0.0 && !number.is_nan())
        }
        rquickjs::Type::String => value
            .as_string()
            .is_some_and(|text| text.to_string().map_or(true, |text| !text.is_empty())),
        _ => true,
    }
}

/// A property that is a text or absent.
fn text_of<'js>(
    tools: &Tools<'js>,
    made: &Object<'js>,
    name: &str,
) -> Result<Option<String>, Stop> {
    let value: Value<'js> = made.get(name)?;
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    match value.as_string() {
        Some(text) => Ok(Some(tools.text(text)?)),
        None => {
            Err(trouble(format!("webhook.{name} has to be a text, not {}", kind(&value))).into())
        }
    }
}

/// What is to be set and removed. The object that was given says everything; another one is laid over
/// what was there, and `null` removes.
fn read_headers<'js>(
    tools: &Tools<'js>,
    made: &Object<'js>,
    given: &Object<'js>,
    request: &Request<'_>,
    changes: &mut Changes,
) -> Result<(), Stop> {
    let value: Value<'js> = made.get("headers")?;
    if value.is_undefined() || value.is_null() {
        return Ok(());
    }
    let Some(headers) = value.as_object().filter(|headers| !headers.is_array()) else {
        let text = format!("webhook.headers has to be an object, not {}", kind(&value));
        return Err(trouble(text).into());
    };
    let mut seen = Vec::new();
    for entry in headers.own_props::<rquickjs::String<'js>, Value<'js>>(Default::default()) {
        let (name, value) = entry?;
        let name = tools.text(&name)?.to_ascii_lowercase();
        if value.is_undefined() || value.is_null() {
            changes.headers_removed.push(name.clone());
            seen.push(name);
            continue;
        }
        let text = header_text(tools, &name, &value)?;
        let before = request.headers.iter().find(|(known, _)| *known == name);
        if before.is_none_or(|(_, before)| *before != text) {
            if changes.headers_set.len() >= limits::HEADERS_SET_MAX {
                let text = format!("more than {} headers were set", limits::HEADERS_SET_MAX);
                return Err(trouble(text).into());
            }
            changes.headers_set.push((name.clone(), text));
        }
        seen.push(name);
    }
    if headers == given {
        let gone = request.headers.iter().map(|(name, _)| name);
        changes.headers_removed.extend(gone.filter(|name| !seen.contains(name)).cloned());
    }
    Ok(())
}

/// The value of a header: a text, a number or a boolean, or a list of those.
fn header_text<'js>(tools: &Tools<'js>, name: &str, value: &Value<'js>) -> Result<String, Stop> {
    let Some(list) = value.as_array() else { return plain_text(tools, name, value) };
    let mut text = String::new();
    for (index, one) in list.iter::<Value<'js>>().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&plain_text(tools, name, &one?)?);
    }
    Ok(text)
}

fn plain_text<'js>(tools: &Tools<'js>, name: &str, value: &Value<'js>) -> Result<String, Stop> {
    if let Some(text) = value.as_string() {
        return Ok(tools.text(text)?);
    }
    if value.is_number() || value.is_bool() {
        return Ok(value.get::<rquickjs::Coerced<String>>()?.0);
    }
    let text = format!("the header {name} has to be a text, not {}", kind(value));
    Err(trouble(text).into())
}

/// The new body; `None` if it stays as it came.
fn read_body<'js>(
    ctx: &Ctx<'js>,
    tools: &Tools<'js>,
    value: Value<'js>,
    before: &Payload,
    body: &[u8],
) -> Result<Option<Vec<u8>>, Stop> {
    if value.is_undefined() {
        return Err(trouble("webhook.payload is undefined").into());
    }
    if let Some(text) = value.as_string() {
        let new = tools.text(text)?;
        let same = match before {
            Payload::Text(before) => *before == new,
            // A JSON body that is nothing but a text.
            Payload::Json(kept) => json(ctx, &value)?.is_some_and(|json| hash(&json) == *kept),
            Payload::Binary => false,
        };
        return Ok((!same).then(|| new.into_bytes()));
    }
    if value.is_object()
        && let Some(bytes) = tools.bytes(&value)?
    {
        return Ok((bytes != body).then_some(bytes));
    }
    let Some(json) = json(ctx, &value)? else {
        let text = format!("webhook.payload cannot be sent: it is {}", kind(&value));
        return Err(trouble(text).into());
    };
    let same = matches!(before, Payload::Json(kept) if *kept == hash(&json));
    Ok((!same).then(|| json.into_bytes()))
}

fn json<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Option<String>, Stop> {
    let text = ctx.json_stringify(value.clone())?;
    Ok(text.map(|text| text.to_string()).transpose()?)
}
