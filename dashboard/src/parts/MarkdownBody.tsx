import { Anchor, Code, List, Text } from "@mantine/core";
import ReactMarkdown, { type Components } from "react-markdown";

// Headings start below those of the page; images are not fetched, their text is shown.
const components: Components = {
  a: ({ href, children }) =>
    href && /^https?:/i.test(href)
      ? <Anchor href={href} target="_blank" rel="noopener noreferrer" inherit underline="always">{children}</Anchor>
      : <>{children}</>,
  p: ({ children }) => <Text size="sm" mb="sm" className="markdown-text">{children}</Text>,
  code: ({ children }) => <Code>{children}</Code>,
  pre: ({ children }) => <pre className="markdown-code" tabIndex={0}>{children}</pre>,
  ul: ({ children }) => <List size="sm" mb="sm" withPadding>{children}</List>,
  ol: ({ children }) => <List type="ordered" size="sm" mb="sm" withPadding>{children}</List>,
  li: ({ children }) => <List.Item>{children}</List.Item>,
  h1: ({ children }) => <Text component="h3" fw={600} mb="xs">{children}</Text>,
  h2: ({ children }) => <Text component="h3" fw={600} mb="xs">{children}</Text>,
  h3: ({ children }) => <Text component="h4" fw={600} mb="xs">{children}</Text>,
  img: ({ alt }) => <>{alt}</>,
};

export default function MarkdownBody({ text }: { text: string }) {
  return <div><ReactMarkdown components={components} skipHtml>{text}</ReactMarkdown></div>;
}
