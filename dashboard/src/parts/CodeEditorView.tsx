// The heavy half of CodeEditor: CodeMirror itself. Only imported dynamically.
//
// The style sheet that CodeMirror writes carries the nonce of this page; colours are pairs for light and
// dark, so that a change of the scheme needs no new editor.
import { defaultKeymap, history, historyKeymap, indentLess, indentMore, insertTab } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { json, jsonParseLinter } from "@codemirror/lang-json";
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, linter, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { Compartment, EditorState, type Extension, type Text } from "@codemirror/state";
import {
  drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef, type RefObject } from "react";

import type { CodeEditorProps, CodeHandle, CodeProblem } from "./CodeEditor";

const LOOK = EditorView.theme({
  "&": { fontSize: "13px", backgroundColor: "var(--mantine-color-body)", color: "var(--mantine-color-text)" },
  "&.cm-focused": { outline: "2px solid var(--mantine-primary-color-filled)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "var(--mantine-font-family-monospace)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--mantine-color-text)", padding: "8px 0" },
  ".cm-content, .cm-gutter": { minHeight: "var(--code-min)" },
  ".cm-gutters": {
    backgroundColor: "light-dark(#f6f7f9, #26282c)", color: "light-dark(#5b6470, #a4abb5)",
    borderRight: "1px solid var(--mantine-color-default-border)",
  },
  // Only where one writes: a page may have several editors.
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLineGutter": { backgroundColor: "light-dark(#e7ecf5, #33373d)", color: "light-dark(#333a44, #e3e6ea)" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "light-dark(#f3f6fc80, #2f333880)" },
  ".cm-cursor": { borderLeftColor: "var(--mantine-color-text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "light-dark(#cfdcf6, #32486f)",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "light-dark(#d8ecdf, #2c4a38)" },
  ".cm-foldPlaceholder": { backgroundColor: "transparent", color: "inherit" },
  ".cm-tooltip": {
    backgroundColor: "var(--mantine-color-body)", color: "var(--mantine-color-text)",
    border: "1px solid var(--mantine-color-default-border)", maxWidth: "min(32rem, 90vw)",
  },
  ".cm-panels": { backgroundColor: "light-dark(#f6f7f9, #26282c)", color: "var(--mantine-color-text)" },
  ".cm-panels input, .cm-panels button": { fontSize: "13px" },
});

const COLOURS = syntaxHighlighting(HighlightStyle.define([
  { tag: tags.propertyName, color: "light-dark(#1f4f9c, #9cc2ff)" },
  { tag: [tags.string, tags.regexp], color: "light-dark(#1b6b3a, #96d7a9)" },
  { tag: tags.number, color: "light-dark(#9a4a00, #f2b377)" },
  { tag: [tags.bool, tags.null, tags.atom], color: "light-dark(#8a2c8a, #e2a5e2)" },
  { tag: [tags.keyword, tags.controlKeyword, tags.definitionKeyword], color: "light-dark(#7a2fa0, #d3a8f0)" },
  { tag: tags.comment, color: "light-dark(#5f6875, #a0a8b2)", fontStyle: "italic" },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: "light-dark(#0b5c74, #86d4ea)" },
  { tag: tags.invalid, textDecoration: "underline wavy" },
]));

const TAB = keymap.of([
  { key: "Tab", run: (view) => (view.state.selection.main.empty ? insertTab(view) : indentMore(view)), shift: indentLess },
]);

const SETUP: Extension = [
  lineNumbers(), foldGutter(), highlightActiveLine(), highlightActiveLineGutter(), highlightSpecialChars(), drawSelection(),
  history(), indentOnInput(), indentUnit.of("  "), bracketMatching(), EditorView.lineWrapping,
  keymap.of([...lintKeymap, ...defaultKeymap, ...historyKeymap, ...foldKeymap]),
];

// A browser that replaces selected text itself gives the new text the old one's style, inline, which the
// content security policy forbids. So a selection is replaced here before the browser does it.
const REPLACE = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const { inputType, data, isComposing } = event;
    if (inputType !== "insertText" || data === null || isComposing || view.state.readOnly || view.state.selection.ranges.every((range) => range.empty)) return false;
    view.dispatch(view.state.update(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true }));
    event.preventDefault();
    return true;
  },
});

function nonce(): Extension {
  const text = document.querySelector('meta[name="becket-nonce"]')?.getAttribute("content");
  return text ? EditorView.cspNonce.of(text) : [];
}

/** `told` is what somebody else found: a check of the text here must not wipe it away. */
function language(of: CodeEditorProps["language"], told: (doc: Text) => Diagnostic[]): Extension {
  if (of === "json") {
    const parse = jsonParseLinter();
    // An empty text is not wrong, it is nothing yet.
    const check = (view: EditorView) => {
      const others = told(view.state.doc);
      return others.length > 0 || view.state.doc.toString().trim() === "" ? others : parse(view);
    };
    return [json(), linter(check, { delay: 400 }), lintGutter()];
  }
  return of === "javascript" ? [javascript(), lintGutter()] : [];
}

function place(doc: Text, line: number, column = 1): number {
  const found = doc.line(Math.min(Math.max(line, 1), doc.lines));
  return Math.min(found.from + Math.max(column, 1) - 1, found.to);
}

function diagnostic(doc: Text, problem: CodeProblem): Diagnostic {
  const { message, severity = "error", line } = problem;
  if (line === undefined) return { from: 0, to: 0, message, severity };
  const end = doc.line(Math.min(Math.max(line, 1), doc.lines)).to;
  const from = place(doc, line, problem.column);
  const to = problem.endColumn === undefined ? end : place(doc, line, problem.endColumn);
  return { from: Math.min(from, end), to: Math.max(to, from), message, severity };
}

interface Props extends CodeEditorProps {
  describedBy: string;
  handle: RefObject<CodeHandle | null>;
}

export default function CodeEditorView(props: Props) {
  const { label, value, onChange, language: of, problems, readOnly = false, minHeight = 160, maxHeight = 480, describedBy, handle } = props;
  const spot = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const changed = useRef(onChange);
  const words = useRef(new Compartment());
  const lock = useRef(new Compartment());
  const found = useRef(problems);
  changed.current = onChange;
  found.current = problems;

  useEffect(() => {
    const parent = spot.current;
    if (!parent) return undefined;
    const made = new EditorView({
      parent,
      state: EditorState.create({
        doc: value,
        extensions: [
          nonce(), TAB, REPLACE, SETUP, LOOK, COLOURS, language(of, (doc) => (found.current ?? []).map((problem) => diagnostic(doc, problem))),
          words.current.of([]), lock.current.of([]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) changed.current?.(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    handle.current = {
      goTo: (line, column) => {
        const at = place(made.state.doc, line, column);
        made.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
        made.focus();
      },
    };
    return () => {
      view.current = null;
      handle.current = null;
      made.destroy();
    };
    // The text that it begins with is only read once; later ones are put in below.
  }, [of, handle]);

  useEffect(() => {
    view.current?.dispatch({
      effects: [
        words.current.reconfigure(EditorView.contentAttributes.of({
          "aria-label": label, "aria-describedby": describedBy, spellcheck: "false",
          ...(readOnly && { "aria-readonly": "true", tabindex: "0" }),
        })),
        lock.current.reconfigure(readOnly ? [EditorState.readOnly.of(true), EditorView.editable.of(false)] : []),
      ],
    });
  }, [label, describedBy, readOnly, of]);

  useEffect(() => {
    const made = view.current;
    if (!made || made.state.doc.toString() === value) return;
    made.dispatch({ changes: { from: 0, to: made.state.doc.length, insert: value } });
  }, [value, of]);

  useEffect(() => {
    const made = view.current;
    if (!made || problems === undefined) return;
    made.dispatch(setDiagnostics(made.state, problems.map((problem) => diagnostic(made.state.doc, problem))));
  }, [problems, of]);

  return (
    <div ref={spot} className="code-editor-place"
      style={{ "--code-min": `${minHeight}px`, "--code-max": `${maxHeight}px` } as React.CSSProperties} />
  );
}
