// Text with marks, as the catalogue writes it. The reader of Markdown is a file of its own, fetched
// when the first text is shown; until then the text stands there as it was written.
import { Text } from "@mantine/core";
import { Suspense, lazy } from "react";

const Body = lazy(() => import("./MarkdownBody"));

/** Markdown without HTML; links leave in a tab of their own. */
export function Markdown({ text }: { text: string }) {
  return (
    <Suspense fallback={<Text size="sm" className="foreign">{text}</Text>}>
      <Body text={text} />
    </Suspense>
  );
}
