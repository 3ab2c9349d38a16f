//! temp
use std::time::Instant;
fn main() {
    for (name, unit) in [("open","["),("brace","{"),("q","? "),("dash","- "),("anchor","&a "),("tag","!!a "),("quote","'"),("dq","\""),("colon","a: "),("lines","a: b\n"),("plain","word word\n "),("comment","# x\n"),("flow","[a,b],"),("pct","%"),("lit","|\n "),("seq","- a\n"),("nl","\n"),("sp"," "),("tab","\t"),("keys","? a\n"), ("flowkeys", "a: {b: c}\n"), ("bigflow", "a,"), ("doc","---\n")] {
        for prefix in ["", "[", "{", "x: |\n ", "x: \"", "- "] {
            let text = format!("{prefix}{}", unit.repeat(300_000 / unit.len()));
            let t = Instant::now();
            let r = becket_schema::openapi::import(&text);
            let ms = t.elapsed().as_millis();
            if ms > 150 { println!("{name} after {prefix:?}: {ms} ms {:?}", r.err().map(|e| e.to_string().chars().take(90).collect::<String>())); }
        }
    }
    let mut doc = String::from("openapi: 3.1.0\nwebhooks:\n");
    for i in 0..20000 { doc.push_str(&format!("  w{i}:\n    post: {{description: hello, requestBody: {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/A'}}}}}}}}}}\n")); }
    doc.push_str("components: {schemas: {A: {type: object, properties: {a: {type: string}}}}}\n");
    let t = Instant::now(); println!("{} bytes: {:?} {} ms", doc.len(), becket_schema::openapi::import(&doc).map(|v| v.len()), t.elapsed().as_millis());
}
