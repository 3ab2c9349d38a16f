//! temp
use becket_schema::{openapi, publish};
use std::collections::BTreeMap;
fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let types = openapi::import(&text).unwrap();
    let mut c = publish::Catalogue::default();
    for (i, t) in types.into_iter().enumerate() {
        let mut schemas = BTreeMap::new();
        schemas.insert("2".to_owned(), t.schema);
        if i == 0 {
            schemas.insert(
                "1".to_owned(),
                serde_json::json!({"type":"object","properties":{"id":{"type":"string"}}}),
            );
        }
        c.event_types.push(publish::EventType {
            name: t.name,
            description: t.description,
            group: t.group,
            deprecated: t.deprecated,
            archived: false,
            schemas,
            example: None,
        });
    }
    let dir = std::env::args().nth(2).unwrap();
    std::fs::write(
        format!("{dir}/index.html"),
        publish::html(&c, "Acme Shop webhooks", "style.css"),
    )
    .unwrap();
    std::fs::write(format!("{dir}/style.css"), publish::STYLESHEET).unwrap();
    std::fs::write(
        format!("{dir}/openapi.json"),
        serde_json::to_string_pretty(&publish::openapi(&c, "Acme Shop webhooks", "1")).unwrap(),
    )
    .unwrap();
    std::fs::write(
        format!("{dir}/asyncapi.json"),
        serde_json::to_string_pretty(&publish::asyncapi(&c, "Acme Shop webhooks", "1")).unwrap(),
    )
    .unwrap();
}
