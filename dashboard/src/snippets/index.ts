// Handlers to begin with: each takes a delivery, proves that it comes from the gateway (Standard Webhooks),
// and does something for one event type. Nothing but the language's own library where that has an HMAC.
import { csharp, go, java, rust } from "./compiled";
import { node, php, python, ruby } from "./scripts";

export interface Snippet {
  key: string;
  label: string;
  file: string;
  /** How it is started, with the endpoint's secret in ENDPOINT_SECRET. */
  start: string;
  code: (eventType: string) => string;
}

export const SNIPPETS: Snippet[] = [
  { key: "node", label: "Node.js", file: "handler.mjs", start: "node handler.mjs", code: node },
  { key: "python", label: "Python", file: "handler.py", start: "python3 handler.py", code: python },
  { key: "go", label: "Go", file: "main.go", start: "go run main.go", code: go },
  { key: "ruby", label: "Ruby", file: "config.ru", start: "rackup -p 3000", code: ruby },
  { key: "php", label: "PHP", file: "handler.php", start: "php -S 127.0.0.1:3000 handler.php", code: php },
  { key: "java", label: "Java", file: "Handler.java", start: "java Handler.java", code: java },
  { key: "csharp", label: "C#", file: "Program.cs", start: "dotnet run", code: csharp },
  { key: "rust", label: "Rust", file: "src/main.rs", start: "cargo run", code: rust },
];
