//! temp
use becket_schema::{CompiledSchema, example, publish};
use serde_json::{Map, Value, json};
use std::time::Instant;
fn run(name: &str, s: Value) {
    let t = Instant::now();
    let c = CompiledSchema::compile(&s).map(|_| ());
    let c_ms = t.elapsed().as_millis();
    let t = Instant::now();
    let r = example::of_schema(&s, 0);
    let e_ms = t.elapsed().as_millis();
    let mut cat = publish::Catalogue::default();
    let mut e = publish::EventType { name: "x".into(), ..Default::default() };
    e.schemas.insert("1".into(), s.clone());
    cat.event_types.push(e);
    let t = Instant::now();
    let h = publish::html(&cat, "t", "s").len();
    let h_ms = t.elapsed().as_millis();
    println!(
        "{name}: {} bytes compile {c_ms} ms {:?}; example {e_ms} ms {}; html {h_ms} ms {h}",
        s.to_string().len(),
        c.err().map(|e| e.code()),
        match r {
            Ok(v) => format!("ok {}", v.to_string().len()),
            Err(e) =>
                format!("{} {}", e.code(), e.to_string().chars().take(120).collect::<String>()),
        }
    );
}
fn main() {
    let wide: Map<String, Value> =
        (0..9000).map(|i| (format!("property_{i}"), json!({"type":"string"}))).collect();
    run("wide", json!({"properties": wide}));
    for n in [200usize, 600] {
        let mut d = Map::new();
        for i in 0..n {
            d.insert(format!("d{i}"), json!({"type":"object","required":["a"],"properties":{"a":{"oneOf":[{"$ref":format!("#/$defs/d{}", (i+1)%n)},{"$ref":format!("#/$defs/d{}", (i*7+3)%n)},{"type":"null"}]}}}));
        }
        run(&format!("graph {n}"), json!({"$defs": d, "$ref":"#/$defs/d0"}));
    }
    let deep = (0..20).fold(json!({"type":"string","not":{"type":"string"}}), |x,_| json!({"type":"object","required":["a","b"],"properties":{"a":{"anyOf":[x.clone(),{"type":"object","required":["z"],"properties":{"z":false}}]},"b":{"oneOf":[{"type":"integer"},{"type":"number"}]}}}));
    run("deep failing", deep);
    let groups: Vec<Value> = (0..10).map(|i| json!({"anyOf":[{"required":[format!("a{i}")]},{"required":[format!("b{i}")]},{"not":{}}]})).collect();
    run("groups", json!({"type":"object","allOf":groups,"not":{"required":["a0"]}}));
    run(
        "long",
        json!({"type":"array","minItems":1000,"items":{"type":"string","minLength":16000}}),
    );
    run(
        "nested arrays",
        (0..12).fold(
            json!({"type":"integer"}),
            |x, _| json!({"type":"array","minItems":10,"items":x}),
        ),
    );
    let mut d = Map::new();
    for l in 0..20 {
        d.insert(format!("d{l}"), json!({"type":"object","properties":{"a":{"$ref":format!("#/$defs/d{}",l+1)},"b":{"$ref":format!("#/$defs/d{}",l+1)}}}));
    }
    d.insert("d20".into(), json!({"type":"string"}));
    run("binary", json!({"$defs":d,"$ref":"#/$defs/d0"}));
    let words: Vec<Value> = (0..20000).map(|i| json!(format!("w{i}"))).collect();
    run(
        "enum",
        json!({"type":"object","properties":{"a":{"enum":words,"pattern":"^zzz"}},"required":["a"]}),
    );
    let pats: Map<String, Value> = (0..250)
        .map(|i| (format!("^p{i}[a-z]{{1,200}}\\w{{1,100}}$"), json!({"type":"string"})))
        .collect();
    run("patterns", json!({"type":"object","patternProperties":pats,"minProperties":20}));
}
