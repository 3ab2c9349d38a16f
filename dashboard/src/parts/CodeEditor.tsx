// An editor for code and JSON. CodeMirror comes as a file of its own when the first editor is shown;
// what is wrong is marked in the text and said below it, so that nobody has to find a squiggle.
import { Anchor, Box, Input, List, Skeleton, Text, VisuallyHidden } from "@mantine/core";
import { lazy, Suspense, useId, useRef, type ReactNode } from "react";

import "./CodeEditor.css";

/** Something wrong in the text: at a line and column from 1, or in the whole of it. */
export interface CodeProblem {
  message: string;
  line?: number | undefined;
  column?: number | undefined;
  /** Where the marked piece ends, on the same line; the end of the word if it is not said. */
  endColumn?: number | undefined;
  severity?: "error" | "warning" | undefined;
}

export interface CodeEditorProps {
  /** What is edited; said by screen readers and shown above. */
  label: string;
  value: string;
  onChange?: (text: string) => void;
  language: "json" | "javascript" | "text";
  description?: ReactNode;
  /** What somebody else found wrong, such as the gateway; JSON that cannot be read is found here. */
  problems?: CodeProblem[];
  readOnly?: boolean;
  /** Hides the label for eyes, not for screen readers. */
  labelHidden?: boolean;
  minHeight?: number;
  maxHeight?: number;
}

/** What the page can ask of the editor. */
export interface CodeHandle {
  goTo: (line: number, column?: number) => void;
}

const View = lazy(() => import("./CodeEditorView"));

/** An editor with line numbers, marks where something is wrong, and a way out for the keyboard. */
export function CodeEditor(props: CodeEditorProps) {
  const { label, description, problems = [], readOnly = false, labelHidden = false, minHeight = 160 } = props;
  const id = useId();
  const handle = useRef<CodeHandle | null>(null);
  return (
    <Box className="code-editor">
      {labelHidden ? <VisuallyHidden>{label}</VisuallyHidden> : <Input.Label component="div">{label}</Input.Label>}
      {description && <Input.Description mb={6} component="div">{description}</Input.Description>}
      <Suspense fallback={<Skeleton height={minHeight} radius="sm" role="status" aria-label={`${label} is being loaded`} />}>
        <View {...props} describedBy={id} handle={handle} />
      </Suspense>
      <Box id={id}>
        {!readOnly && (
          <VisuallyHidden>Tab indents here. Press Escape, then Tab, to leave the editor.</VisuallyHidden>
        )}
        <Problems problems={problems} goTo={(line, column) => handle.current?.goTo(line, column)} />
      </Box>
    </Box>
  );
}

function Problems({ problems, goTo }: { problems: CodeProblem[]; goTo: CodeHandle["goTo"] }) {
  return (
    <div role="status" aria-live="polite">
      {problems.length > 0 && (
        <List size="sm" mt={6} listStyleType="none" className="code-problems">
          {problems.map((problem, index) => (
            <List.Item key={index}>
              <Text size="sm" span className={problem.severity === "warning" ? "code-warning" : "code-error"}>
                {problem.line !== undefined && (
                  <>
                    <Anchor component="button" type="button" size="sm" inherit underline="always" c="inherit"
                      onClick={() => goTo(problem.line ?? 1, problem.column)}>
                      Line {problem.line}{problem.column !== undefined && `, column ${problem.column}`}
                    </Anchor>
                    {": "}
                  </>
                )}
                <span className="foreign">{problem.message}</span>
              </Text>
            </List.Item>
          ))}
        </List>
      )}
    </div>
  );
}
