//! Cases that were put to the npm package simple-json-match, each also negated.
#[test]
fn list() {
    let data: serde_json::Value = serde_json::from_str(include_str!("oracle.json")).unwrap();
    for case in data["cases"].as_array().unwrap() {
        let input = case["input"].as_str().unwrap();
        let text = case["filter"].as_str().unwrap();
        let f: serde_json::Value = serde_json::from_str(text).unwrap();
        let ask = |f: serde_json::Value| match becket_filter::Filter::from_document(serde_json::json!({"body": f})) {
            Err(e) => format!("error {e}"),
            Ok(f) => { let r = becket_filter::Request { body: input.as_bytes(), ..Default::default() };
              match f.check(&becket_filter::Subject::new(r, [])) { Ok(()) => "true".into(), Err(e) => format!("false {e}") } }
        };
        let a = ask(f.clone()); let b = ask(serde_json::json!({"$not": f}));
        let ok = a.split(' ').next().unwrap() == case["passes"].to_string() && b.split(' ').next().unwrap() == case["negated"].to_string();
        println!("{} {} | {} | {} | {} {} | {} | {}", if ok {"same"} else {"DIFF"}, case["group"].as_str().unwrap(), input, text, case["passes"], case["negated"], a, b);
    }
}
