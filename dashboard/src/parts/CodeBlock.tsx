import { CopyButton } from "./CopyButton";

export interface CodeBlockProps {
  text: string;
  /** What it is written in, for screen readers. */
  language?: string;
  copyLabel?: string;
  /** Breaks long lines instead of scrolling sideways. */
  wrap?: boolean;
}

/** A command, a piece of code or a document, as it is, with a button that copies it. */
export function CodeBlock({ text, language, copyLabel = "Copy", wrap = false }: CodeBlockProps) {
  return (
    <div className="code-block">
      <pre tabIndex={0} role="group" aria-label={language ? `${language} code` : "Code"} className={wrap ? "foreign" : undefined}><code>{text}</code></pre>
      <div className="copy"><CopyButton value={text} label={copyLabel} /></div>
    </div>
  );
}
