use serde_json::{json, Value};
fn show(name: &str, s: &Value, p: &Value) {
    match jsonschema::options().offline().with_pattern_options(jsonschema::PatternOptions::regex().size_limit(1<<20)).build(s) {
        Ok(v) => { println!("{name}: ok"); for e in v.iter_errors(p).take(5) { println!("   [{}] {} | {} | {:?} | {e}", e.instance_path(), e.schema_path(), e.evaluation_path(), e.kind().keyword()); } }
        Err(e) => println!("{name}: ERR at [{}] {} {:?}", e.instance_path(), e, e.kind()),
    }
}
fn main() {
    show("look", &json!({"properties":{"a":{"pattern":"^(?=a)b"}}}), &json!({}));
    show("backref", &json!({"pattern":"(a)\\1"}), &json!("x"));
    show("big", &json!({"pattern":"(a{1000}){1000}"}), &json!("x"));
    show("ext", &json!({"properties":{"a":{"$ref":"https://example.com/x.json"}}}), &json!({}));
    show("meta", &json!({"$ref":"https://json-schema.org/draft/2020-12/schema"}), &json!({"type":3}));
    show("badref", &json!({"$ref":"#/nope"}), &json!({"type":3}));
    show("type", &json!({"properties":{"a":{"type":"strange"}}}), &json!({}));
    show("unknown draft", &json!({"$schema":"https://example.com/my"}), &json!({}));
    show("req", &json!({"$defs":{"o":{"required":["id"],"properties":{"k":{"enum":[1,2]},"n":{"maximum":3},"m":{"multipleOf":0.01}},"additionalProperties":false}},"properties":{"x":{"$ref":"#/$defs/o"}}}), &json!({"x":{"k":9,"n":10,"zz":1,"m":0.015}}));
    show("any", &json!({"anyOf":[{"type":"string"},{"properties":{"a":{"type":"string"}}}]}), &json!({"a":3}));
    show("pn", &json!({"propertyNames":{"maxLength":1}}), &json!({"abc":3}));
    show("dep", &json!({"dependentRequired":{"a":["b"]},"not":{}, "if":{}, "then":{"required":["z"]}}), &json!({"a":3}));
    show("uneval", &json!({"unevaluatedProperties":false}), &json!({"a":3}));
    show("fmt", &json!({"format":"email"}), &json!("a"));
    show("fmt7", &json!({"$schema":"http://json-schema.org/draft-07/schema#","format":"email"}), &json!("a"));
    show("mult", &json!({"multipleOf":0.01}), &json!(0.07));
    show("mult", &json!({"multipleOf":0.01}), &json!(19.99));
    for n in [100usize, 1000, 4000] {
        let mut d = serde_json::Map::new();
        for i in 0..n { d.insert(format!("a{i}"), json!({"properties":{"x":{"$ref":format!("#/$defs/a{}", (i+1)%n)}}})); }
        let s = json!({"$defs":d, "$ref":"#/$defs/a0"});
        let r = std::thread::Builder::new().stack_size(2<<20).spawn(move || show(&format!("chain {n}"), &s, &json!({"x":{}}))).unwrap().join();
        println!("{:?}", r.is_ok());
    }
    let which = std::env::args().nth(1);
    if which.as_deref() == Some("self") { show("self", &json!({"$ref":"#"}), &json!({})); }
    if which.as_deref() == Some("self2") { show("self", &json!({"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}), &json!({})); }
}
