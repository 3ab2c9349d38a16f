//! Two nodes over one store: of changes that read before they write, none is lost, whichever node
//! they come to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use becket_model::{ApplicationKey, EndpointId};
use becket_store::{
    Application, ApplicationChange, Changed, DocumentContent, DocumentKind, DocumentName, Endpoint,
    EndpointChange, Name, Owner, Result, Store, WriteIf, Written,
};
use becket_store_test::{FixedNoise, Hooks, ModelStore, Wrapped};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::{TOKEN, World};

/// Holds one write: says that it has come, and waits until it may go on.
type Held = (oneshot::Sender<()>, oneshot::Receiver<()>);

/// A store whose next write waits, if that was wanted.
#[derive(Clone)]
struct Slow {
    inner: Arc<ModelStore>,
    held: Arc<Mutex<Option<Held>>>,
}

impl Slow {
    async fn hold(&self) {
        let held = self.held.lock().unwrap().take();
        if let Some((come, go_on)) = held {
            come.send(()).unwrap();
            go_on.await.unwrap();
        }
    }
}

#[async_trait]
impl Hooks for Slow {
    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    async fn application_change(
        &self,
        owner: Owner,
        application: ApplicationKey,
        change: ApplicationChange,
        now_ms: i64,
    ) -> Result<Changed<Application>> {
        self.hold().await;
        self.inner.application_change(owner, application, change, now_ms).await
    }

    async fn endpoint_change(
        &self,
        owner: Owner,
        endpoint: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Result<Changed<Endpoint>> {
        self.hold().await;
        self.inner.endpoint_change(owner, endpoint, change, now_ms).await
    }

    async fn document_put(
        &self,
        owner: Owner,
        name: DocumentName,
        content: DocumentContent,
        condition: WriteIf,
        now_ms: i64,
    ) -> Result<Written> {
        if name.kind == DocumentKind::Transformation {
            self.hold().await;
        }
        self.inner.document_put(owner, name, content, condition, now_ms).await
    }
}

type Wanted<'w> = (&'w str, &'w str, Value);

/// Two nodes, an application `shop` with the endpoint `hook`, and a source `in`.
struct Nodes {
    one: World,
    two: World,
    store: Slow,
}

impl Nodes {
    async fn new() -> Self {
        let inner = Arc::new(ModelStore::new(Arc::new(FixedNoise::new(7))));
        let store = Slow { inner, held: Arc::default() };
        let one = World::over(Arc::new(Wrapped(store.clone()))).await;
        let two = one.beside();
        let nodes = Self { one, two, store };
        let app = json!({ "name": "Shop", "uid": "shop" });
        nodes.done(&nodes.one, ("POST", "/api/v1/app", app)).await;
        let url = "http://127.0.0.1:9/hook";
        let hook = json!({ "url": url, "uid": "hook", "allowPrivate": true });
        nodes.done(&nodes.one, ("POST", "/api/v1/app/shop/endpoint", hook)).await;
        let source = json!({ "name": "In", "uid": "in", "provider": "github", "secrets": ["one"] });
        nodes.done(&nodes.one, ("POST", "/api/v1/becket/source", source)).await;
        nodes
    }

    async fn done(&self, at: &World, (method, path, body): Wanted<'_>) -> Value {
        let (status, answer) = at.call_as(TOKEN, method.parse().unwrap(), path, Some(body)).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// Has `slow` read through one node, `quick` read and write through the other, and then `slow`
    /// write what it has thought out.
    async fn meet(&self, slow: Wanted<'_>, quick: Wanted<'_>) {
        let (come, has_come) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        *self.store.held.lock().unwrap() = Some((come, may_go_on));
        let quick = async {
            let come = tokio::time::timeout(Duration::from_secs(10), has_come).await;
            come.expect("the slow one writes something").unwrap();
            self.done(&self.one, quick).await;
            go_on.send(()).unwrap();
        };
        tokio::join!(self.done(&self.two, slow), quick);
    }

    async fn hook(&self) -> Endpoint {
        let shop = self.store.inner.application_get(
            Owner::MAIN,
            becket_model::ApplicationKind::Customer,
            Name::Uid("shop".to_owned()),
        );
        let shop = shop.await.unwrap().unwrap().key;
        let name = Name::Uid("hook".to_owned());
        self.store.inner.endpoint_get(Owner::MAIN, shop, name).await.unwrap().unwrap()
    }
}

const HOOK: &str = "/api/v1/app/shop/endpoint/hook";

#[tokio::test]
async fn an_endpoint_keeps_what_another_node_has_set() {
    let nodes = Nodes::new().await;
    let transformation = format!("{HOOK}/transformation");
    let transformation = transformation.as_str();
    let code = json!({ "code": "function handler(w) { return w }", "enabled": true });
    let described = json!({ "description": "new" });
    nodes.meet(("PATCH", HOOK, described), ("PATCH", transformation, code)).await;
    let hook = nodes.hook().await;
    assert_eq!((hook.settings.transformed, hook.settings.description.as_str()), (true, "new"));
    // A deploy job that upserts, and an administrator who closes the door at the same time.
    let closed = json!({ "url": "https://example.com/", "allowPrivate": false });
    let put = json!({ "url": "https://example.com/", "description": "put" });
    nodes.meet(("PUT", HOOK, put), ("PATCH", HOOK, closed)).await;
    let hook = nodes.hook().await;
    assert_eq!((hook.settings.allow_private, hook.settings.description.as_str()), (false, "put"));
    let filter = format!("/api/v1/becket/endpoint/{}/filter", hook.id);
    let wanted = json!({ "filter": { "body": { "a": 1 } } });
    nodes.meet(("PATCH", HOOK, json!({ "throttleRate": 7 })), ("PUT", &filter, wanted)).await;
    let settings = nodes.hook().await.settings;
    assert!(settings.filter.is_some() && settings.rate.is_some(), "{settings:?}");
    nodes
        .meet(
            ("PUT", &filter, json!({ "filter": null })),
            (
                "PATCH",
                HOOK,
                json!({
                    "description": "last"
                }),
            ),
        )
        .await;
    let settings = nodes.hook().await.settings;
    assert_eq!((settings.filter, settings.description.as_str()), (None, "last"));
}

#[tokio::test]
async fn headers_of_both_nodes_stay() {
    let nodes = Nodes::new().await;
    let headers = format!("{HOOK}/headers");
    let own = |name: &str| json!({ "headers": { name: "1" } });
    nodes.meet(("PATCH", &headers, own("x-two")), ("PATCH", &headers, own("x-one"))).await;
    let shown = nodes.one.get(&headers).await;
    assert_eq!(shown["headers"], json!({ "x-one": "1", "x-two": "1" }));
}

#[tokio::test]
async fn a_transformation_is_what_both_nodes_made_of_it() {
    let nodes = Nodes::new().await;
    let path = format!("{HOOK}/transformation");
    let code = json!({ "code": "function handler(w) { return w }", "enabled": true });
    let variables = json!({ "variables": { "a": "b" } });
    nodes.meet(("PATCH", &path, code), ("PATCH", &path, variables)).await;
    let shown = nodes.one.get(&path).await;
    assert_eq!((&shown["enabled"], &shown["variables"]), (&json!(true), &json!({ "a": "b" })));
    assert!(nodes.hook().await.settings.transformed);
    // Switched off by one and on by the other: what the endpoint says is what is kept.
    let (off, on) = (json!({ "enabled": false }), json!({ "enabled": true }));
    for (slow, quick) in [(&off, &on), (&on, &off), (&off, &off), (&on, &on)] {
        nodes.meet(("PATCH", &path, slow.clone()), ("PATCH", &path, quick.clone())).await;
        let shown = nodes.one.get(&path).await;
        assert_eq!(shown["enabled"], slow["enabled"], "the last one who wrote");
        assert_eq!(json!(nodes.hook().await.settings.transformed), shown["enabled"]);
    }
}

#[tokio::test]
async fn applications_and_sources_keep_what_another_node_has_set() {
    let nodes = Nodes::new().await;
    let app = "/api/v1/app/shop";
    let (named, limited) = (json!({ "name": "Store" }), json!({ "throttleRate": 5 }));
    nodes.meet(("PATCH", app, named), ("PATCH", app, limited)).await;
    let shown = nodes.one.get(app).await;
    assert_eq!((&shown["name"], &shown["throttleRate"]), (&json!("Store"), &json!(5)));
    let source = "/api/v1/becket/source/in";
    let (named, secrets) = (json!({ "name": "Renamed" }), json!({ "secrets": ["two", "three"] }));
    let (credentials, rotate) =
        (format!("{source}/credentials"), "/ingest/api/v1/source/in/token/rotate");
    nodes.meet(("PATCH", source, named), ("PUT", &credentials, secrets)).await;
    let before = nodes.one.get("/ingest/api/v1/source/in").await["ingestUrl"].clone();
    let secrets = json!({ "secrets": ["four"], "keepOldMs": 60_000 });
    nodes.meet(("PUT", &credentials, secrets), ("POST", rotate, json!({}))).await;
    let shown = nodes.one.get("/ingest/api/v1/source/in").await;
    assert_eq!(shown["name"], "Renamed");
    assert_ne!(shown["ingestUrl"], before, "the rotation is still there");
}
