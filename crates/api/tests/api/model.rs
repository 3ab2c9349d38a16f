//! Random sequences of API calls against a small model of the resources: after each call the answer
//! is compared with what the model says.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{TOKEN, World};

const APPS: [&str; 3] = ["one", "two", "three"];
const ENDPOINTS: [&str; 2] = ["left", "right"];
const TYPES: [&str; 3] = ["a", "b", "c"];

/// A call, by numbers that choose names and values.
#[derive(Debug, Clone)]
enum Step {
    AppCreate(usize, u8),
    AppUpsert(usize, u8),
    AppPatch(usize, u8),
    AppRename(usize, usize),
    AppDelete(usize),
    AppsList(usize),
    EndpointCreate(usize, usize, Option<usize>),
    EndpointUpsert(usize, usize, Option<usize>),
    EndpointPatch(usize, usize, bool),
    EndpointDelete(usize, usize),
    EndpointsList(usize, usize),
    TypeCreate(usize, u8),
    TypeUpsert(usize, u8),
    TypePatch(usize, u8),
    TypeDelete(usize, bool),
    TypesList(usize, bool),
    Post(usize, usize, Option<u8>),
    PostsList(usize, usize, Option<usize>),
    PostGet(usize, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let app = 0..APPS.len();
    let end = 0..ENDPOINTS.len();
    let kind = 0..TYPES.len();
    let filter = || prop::option::of(0..TYPES.len());
    let step = prop_oneof![
        3 => (app.clone(), any::<u8>()).prop_map(|(app, value)| Step::AppCreate(app, value)),
        1 => (app.clone(), any::<u8>()).prop_map(|(app, value)| Step::AppUpsert(app, value)),
        1 => (app.clone(), any::<u8>()).prop_map(|(app, value)| Step::AppPatch(app, value)),
        1 => (app.clone(), app.clone()).prop_map(|(app, to)| Step::AppRename(app, to)),
        1 => app.clone().prop_map(Step::AppDelete),
        1 => (1_usize..4).prop_map(Step::AppsList),
        3 => (app.clone(), end.clone(), filter())
            .prop_map(|(app, end, kind)| Step::EndpointCreate(app, end, kind)),
        1 => (app.clone(), end.clone(), filter())
            .prop_map(|(app, end, kind)| Step::EndpointUpsert(app, end, kind)),
        1 => (app.clone(), end.clone(), any::<bool>())
            .prop_map(|(app, end, disabled)| Step::EndpointPatch(app, end, disabled)),
        1 => (app.clone(), end).prop_map(|(app, end)| Step::EndpointDelete(app, end)),
        1 => (app.clone(), 1_usize..3).prop_map(|(app, limit)| Step::EndpointsList(app, limit)),
        3 => (kind.clone(), any::<u8>()).prop_map(|(kind, value)| Step::TypeCreate(kind, value)),
        1 => (kind.clone(), any::<u8>()).prop_map(|(kind, value)| Step::TypeUpsert(kind, value)),
        1 => (kind.clone(), any::<u8>()).prop_map(|(kind, value)| Step::TypePatch(kind, value)),
        1 => (kind.clone(), any::<bool>()).prop_map(|(kind, gone)| Step::TypeDelete(kind, gone)),
        1 => (1_usize..3, any::<bool>()).prop_map(|(limit, all)| Step::TypesList(limit, all)),
        5 => (app.clone(), kind, prop::option::of(0_u8..4))
            .prop_map(|(app, kind, id)| Step::Post(app, kind, id)),
        2 => (app.clone(), 1_usize..4, filter())
            .prop_map(|(app, limit, kind)| Step::PostsList(app, limit, kind)),
        1 => (app, 0_u8..4).prop_map(|(app, id)| Step::PostGet(app, id)),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Debug, Default)]
struct Endpoint {
    id: String,
    kind: Option<usize>,
    disabled: bool,
}

#[derive(Debug)]
struct Post {
    id: String,
    kind: usize,
    event_id: Option<u8>,
    number: usize,
}

#[derive(Debug, Default)]
struct App {
    id: String,
    value: u8,
    endpoints: BTreeMap<usize, Endpoint>,
    posts: Vec<Post>,
}

#[derive(Debug)]
struct Type {
    value: u8,
    archived: bool,
}

/// The resources as they should be.
#[derive(Debug, Default)]
struct Model {
    apps: BTreeMap<usize, App>,
    types: BTreeMap<usize, Type>,
    posts: usize,
}

impl Model {
    /// Whether events of this type can be posted, and endpoints may ask for it.
    fn is_in_use(&self, kind: usize) -> bool {
        self.types.get(&kind).is_some_and(|known| !known.archived)
    }
}

struct Run {
    world: World,
    model: Model,
}

fn app_path(app: usize) -> String {
    format!("/api/v1/app/{}", APPS[app])
}

fn kinds(kind: Option<usize>) -> Value {
    kind.map_or(Value::Null, |kind| json!([TYPES[kind]]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Run {
    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let body = Some(body).filter(|body| !body.is_null());
        let (status, answer) = self.world.call_as(TOKEN, method, path, body).await;
        (status.as_u16(), answer)
    }

    async fn step(&mut self, step: Step) {
        // Ids that are made in one millisecond are in no order.
        self.world.pass_ms(1);
        match step {
            Step::AppCreate(..)
            | Step::AppUpsert(..)
            | Step::AppPatch(..)
            | Step::AppRename(..)
            | Step::AppDelete(..)
            | Step::AppsList(..) => self.app(step).await,
            Step::EndpointCreate(..)
            | Step::EndpointUpsert(..)
            | Step::EndpointPatch(..)
            | Step::EndpointDelete(..)
            | Step::EndpointsList(..) => self.endpoint(step).await,
            Step::TypeCreate(..)
            | Step::TypeUpsert(..)
            | Step::TypePatch(..)
            | Step::TypeDelete(..)
            | Step::TypesList(..) => self.kind(step).await,
            Step::Post(..) | Step::PostsList(..) | Step::PostGet(..) => self.post(step).await,
        }
    }

    async fn app(&mut self, step: Step) {
        let fields = |value: u8| json!({ "name": format!("n{value}"), "metadata": { "v": value.to_string() } });
        match step {
            Step::AppCreate(at, value) => {
                let mut body = fields(value);
                body["uid"] = json!(APPS[at]);
                let (status, made) = self.call(Method::POST, "/api/v1/app", body).await;
                match self.model.apps.entry(at) {
                    Entry::Occupied(_) => assert_eq!(status, 409),
                    Entry::Vacant(place) => {
                        assert_eq!(status, 201);
                        let id = text(&made["id"]);
                        place.insert(App { id, value, ..App::default() });
                        self.check_app(at).await;
                    }
                }
            }
            Step::AppUpsert(at, value) => {
                let (status, made) = self.call(Method::PUT, &app_path(at), fields(value)).await;
                assert_eq!(status, if self.model.apps.contains_key(&at) { 200 } else { 201 });
                let app = self.model.apps.entry(at).or_default();
                (app.id, app.value) = (text(&made["id"]), value);
                self.check_app(at).await;
            }
            Step::AppPatch(at, value) => {
                let (status, _) = self.call(Method::PATCH, &app_path(at), fields(value)).await;
                let known = self.model.apps.get_mut(&at);
                assert_eq!(status, if known.is_some() { 200 } else { 404 });
                known.into_iter().for_each(|app| app.value = value);
                self.check_app(at).await;
            }
            Step::AppRename(at, to) => {
                let body = json!({ "uid": APPS[to] });
                let (status, _) = self.call(Method::PATCH, &app_path(at), body).await;
                let expected =
                    match (self.model.apps.contains_key(&at), self.model.apps.contains_key(&to)) {
                        (false, _) => 404,
                        (true, true) if at != to => 409,
                        (true, _) => 200,
                    };
                assert_eq!(status, expected);
                if expected == 200
                    && let Some(app) = self.model.apps.remove(&at)
                {
                    self.model.apps.insert(to, app);
                }
                self.check_app(to).await;
            }
            Step::AppDelete(at) => {
                let (status, _) = self.call(Method::DELETE, &app_path(at), Value::Null).await;
                assert_eq!(status, if self.model.apps.remove(&at).is_some() { 204 } else { 404 });
                self.check_app(at).await;
            }
            Step::AppsList(limit) => {
                let mut expected: Vec<&str> =
                    self.model.apps.values().map(|app| app.id.as_str()).collect();
                expected.sort_unstable();
                assert_eq!(self.world.walk("/api/v1/app", limit).await, expected);
            }
            _ => unreachable!(),
        }
    }

    async fn check_app(&self, at: usize) {
        let (status, shown) = self.call(Method::GET, &app_path(at), Value::Null).await;
        let Some(app) = self.model.apps.get(&at) else { return assert_eq!(status, 404) };
        assert_eq!(status, 200);
        assert_eq!((&shown["id"], &shown["uid"]), (&json!(app.id), &json!(APPS[at])));
        assert_eq!(shown["name"], format!("n{}", app.value));
        assert_eq!(shown["metadata"]["v"], app.value.to_string());
    }

    async fn endpoint(&mut self, step: Step) {
        let fields = |kind: Option<usize>| json!({ "url": "https://example.com/", "eventTypes": kinds(kind) });
        match step {
            Step::EndpointCreate(app, end, kind) => {
                let mut body = fields(kind);
                body["uid"] = json!(ENDPOINTS[end]);
                let path = format!("{}/endpoint", app_path(app));
                let (status, made) = self.call(Method::POST, &path, body).await;
                let unknown = kind.is_some_and(|kind| !self.model.is_in_use(kind));
                let Some(known) = self.model.apps.get_mut(&app) else {
                    return assert_eq!(status, 404);
                };
                if unknown {
                    return assert_eq!(status, 422);
                }
                if known.endpoints.contains_key(&end) {
                    return assert_eq!(status, 409);
                }
                assert_eq!(status, 201);
                let made = Endpoint { id: text(&made["id"]), kind, disabled: false };
                known.endpoints.insert(end, made);
                self.check_endpoint(app, end).await;
            }
            Step::EndpointUpsert(app, end, kind) => {
                let path = format!("{}/endpoint/{}", app_path(app), ENDPOINTS[end]);
                let (status, made) = self.call(Method::PUT, &path, fields(kind)).await;
                let unknown = kind.is_some_and(|kind| !self.model.is_in_use(kind));
                let Some(known) = self.model.apps.get_mut(&app) else {
                    return assert_eq!(status, 404);
                };
                // A type that is gone or put away may stay where it was chosen.
                let before = known.endpoints.get(&end).and_then(|endpoint| endpoint.kind);
                if unknown && kind != before {
                    return assert_eq!(status, 422);
                }
                let new = !known.endpoints.contains_key(&end);
                assert_eq!(status, if new { 201 } else { 200 });
                let made = Endpoint { id: text(&made["id"]), kind, disabled: false };
                known.endpoints.insert(end, made);
                self.check_endpoint(app, end).await;
            }
            Step::EndpointPatch(app, end, disabled) => {
                let path = format!("{}/endpoint/{}", app_path(app), ENDPOINTS[end]);
                let (status, _) =
                    self.call(Method::PATCH, &path, json!({ "disabled": disabled })).await;
                let known =
                    self.model.apps.get_mut(&app).and_then(|app| app.endpoints.get_mut(&end));
                assert_eq!(status, if known.is_some() { 200 } else { 404 });
                known.into_iter().for_each(|endpoint| endpoint.disabled = disabled);
                self.check_endpoint(app, end).await;
            }
            Step::EndpointDelete(app, end) => {
                let path = format!("{}/endpoint/{}", app_path(app), ENDPOINTS[end]);
                let (status, _) = self.call(Method::DELETE, &path, Value::Null).await;
                let known =
                    self.model.apps.get_mut(&app).and_then(|app| app.endpoints.remove(&end));
                assert_eq!(status, if known.is_some() { 204 } else { 404 });
                self.check_endpoint(app, end).await;
            }
            Step::EndpointsList(app, limit) => {
                let path = format!("{}/endpoint", app_path(app));
                let Some(known) = self.model.apps.get(&app) else {
                    return assert_eq!(self.call(Method::GET, &path, Value::Null).await.0, 404);
                };
                let mut expected: Vec<&str> =
                    known.endpoints.values().map(|endpoint| endpoint.id.as_str()).collect();
                expected.sort_unstable();
                expected.reverse();
                assert_eq!(self.world.walk(&path, limit).await, expected);
            }
            _ => unreachable!(),
        }
    }

    async fn check_endpoint(&self, app: usize, end: usize) {
        let path = format!("{}/endpoint/{}", app_path(app), ENDPOINTS[end]);
        let (status, shown) = self.call(Method::GET, &path, Value::Null).await;
        let known = self.model.apps.get(&app).and_then(|app| app.endpoints.get(&end));
        let Some(known) = known else { return assert_eq!(status, 404) };
        assert_eq!(status, 200);
        assert_eq!((&shown["id"], &shown["uid"]), (&json!(known.id), &json!(ENDPOINTS[end])));
        assert_eq!(shown["eventTypes"], kinds(known.kind));
        assert_eq!(shown["disabled"], known.disabled);
    }

    async fn kind(&mut self, step: Step) {
        let path = |at: usize| format!("/api/v1/event-type/{}", TYPES[at]);
        let body = |value: u8| json!({ "description": format!("d{value}") });
        match step {
            Step::TypeCreate(at, value) => {
                let mut body = body(value);
                body["name"] = json!(TYPES[at]);
                let (status, _) = self.call(Method::POST, "/api/v1/event-type", body).await;
                if self.model.types.get(&at).is_some_and(|known| !known.archived) {
                    return assert_eq!(status, 409);
                }
                assert_eq!(status, 201);
                self.model.types.insert(at, Type { value, archived: false });
            }
            Step::TypeUpsert(at, value) => {
                let (status, _) = self.call(Method::PUT, &path(at), body(value)).await;
                let old = self.model.types.insert(at, Type { value, archived: false });
                assert_eq!(status, if old.is_some() { 200 } else { 201 });
            }
            Step::TypePatch(at, value) => {
                let (status, _) = self.call(Method::PATCH, &path(at), body(value)).await;
                let known = self.model.types.get_mut(&at);
                assert_eq!(status, if known.is_some() { 200 } else { 404 });
                known.into_iter().for_each(|known| known.value = value);
            }
            Step::TypeDelete(at, gone) => {
                let (status, _) = self
                    .call(Method::DELETE, &format!("{}?expunge={gone}", path(at)), Value::Null)
                    .await;
                let known = self.model.types.get_mut(&at);
                assert_eq!(status, if known.is_some() { 204 } else { 404 });
                known.into_iter().for_each(|known| known.archived = true);
                if gone {
                    self.model.types.remove(&at);
                }
            }
            Step::TypesList(limit, all) => {
                let listed = self.walk_types(limit, all).await;
                let known = self.model.types.iter().filter(|(_, known)| all || !known.archived);
                let expected: Vec<(String, String)> = known
                    .map(|(at, known)| (TYPES[*at].to_owned(), format!("d{}", known.value)))
                    .collect();
                assert_eq!(listed, expected);
            }
            _ => unreachable!(),
        }
    }

    async fn walk_types(&self, limit: usize, all: bool) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut query = format!("include_archived={all}&limit={limit}");
        loop {
            let page = self.world.get(&format!("/api/v1/event-type?{query}")).await;
            let data = page["data"].as_array().into_iter().flatten();
            found.extend(data.map(|one| (text(&one["name"]), text(&one["description"]))));
            if page["done"] == true {
                return found;
            }
            let iterator = text(&page["iterator"]);
            query = format!("include_archived={all}&limit={limit}&iterator={iterator}");
        }
    }

    async fn post(&mut self, step: Step) {
        match step {
            Step::Post(app, kind, event_id) => {
                let number = self.model.posts;
                self.model.posts += 1;
                let mut body = json!({ "eventType": TYPES[kind], "payload": { "n": number } });
                if let Some(event_id) = event_id {
                    body["eventId"] = json!(format!("e{event_id}"));
                }
                let path = format!("{}/msg", app_path(app));
                let (status, made) = self.call(Method::POST, &path, body).await;
                let archived = self.model.types.get(&kind).is_some_and(|known| known.archived);
                let Some(known) = self.model.apps.get_mut(&app) else {
                    return assert_eq!(status, 404);
                };
                if archived {
                    return assert_eq!(status, 422);
                }
                let taken =
                    event_id.is_some() && known.posts.iter().any(|post| post.event_id == event_id);
                if taken {
                    return assert_eq!(status, 409);
                }
                assert_eq!(status, 202);
                let id = text(&made["id"]);
                let planned = known.endpoints.values().filter(|endpoint| {
                    !endpoint.disabled && endpoint.kind.is_none_or(|wanted| wanted == kind)
                });
                let planned = planned.count();
                known.posts.push(Post { id: id.clone(), kind, event_id, number });
                let path = format!("{path}/{id}/endpoint");
                assert_eq!(self.world.walk(&path, 10).await.len(), planned);
            }
            Step::PostsList(app, limit, kind) => {
                let query =
                    kind.map_or(String::new(), |kind| format!("?event_types={}", TYPES[kind]));
                let path = format!("{}/msg{query}", app_path(app));
                let Some(known) = self.model.apps.get(&app) else {
                    return assert_eq!(self.call(Method::GET, &path, Value::Null).await.0, 404);
                };
                let posts = known.posts.iter().rev();
                let expected: Vec<&str> = posts
                    .filter(|post| kind.is_none_or(|kind| post.kind == kind))
                    .map(|post| post.id.as_str())
                    .collect();
                assert_eq!(self.world.walk(&path, limit).await, expected);
            }
            Step::PostGet(app, event_id) => {
                let path = format!("{}/msg/e{event_id}", app_path(app));
                let (status, shown) = self.call(Method::GET, &path, Value::Null).await;
                let posts = self.model.apps.get(&app).map(|app| app.posts.iter());
                let known =
                    posts.into_iter().flatten().find(|post| post.event_id == Some(event_id));
                let Some(known) = known else { return assert_eq!(status, 404) };
                assert_eq!((status, &shown["id"]), (200, &json!(known.id)));
                assert_eq!(shown["payload"], json!({ "n": known.number }));
                assert_eq!(shown["eventType"], TYPES[known.kind]);
            }
            _ => unreachable!(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run { world: World::new().await, model: Model::default() };
            for step in steps {
                run.step(step).await;
            }
        });
    }
}
