// Event types come from outside: in code they are texts and nothing else.

/** Between double quotes: JavaScript, Python, Go, Java, C#. Everything beyond ASCII is escaped, so that nothing hides. */
export const doubled = (text: string): string =>
  JSON.stringify(text).replace(/[\u007f-\uffff]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Between single quotes, in which only the quote and the backslash mean something: PHP, Ruby. */
export const single = (text: string): string =>
  `'${text.replace(/[\\']/g, "\\$&").replace(/[^\x20-\x7e]/gu, "?")}'`;

/** A text of Rust. */
export const rusty = (text: string): string =>
  `"${[...text].map((sign) => {
    if (sign === '"' || sign === "\\") return `\\${sign}`;
    return sign >= " " && sign <= "~" ? sign : `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`;
  }).join("")}"`;

