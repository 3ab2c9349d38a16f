// What happened, in order: a line with a mark for each moment.
import "./timeline.css";

import type { ReactNode } from "react";

import { Time } from "./Time";
import type { Tone } from "./State";

export function Timeline({ label, children }: { label: string; children: ReactNode }) {
  return <ol className="timeline" aria-label={label}>{children}</ol>;
}

interface MomentProps {
  title: ReactNode;
  at?: string | undefined;
  tone?: Tone;
  /** Beside the title: a state. */
  aside?: ReactNode;
  children?: ReactNode;
}

export function Moment({ title, at, tone = "none", aside, children }: MomentProps) {
  return (
    <li className="moment" data-tone={tone}>
      <div className="moment-head">
        <strong>{title}</strong>
        {aside}
        {at && <span className="moment-time"><Time at={at} /></span>}
      </div>
      {children && <div className="moment-body">{children}</div>}
    </li>
  );
}

/** What is shown when somebody asks for it. */
export function More({ summary, open = false, children }: { summary: ReactNode; open?: boolean; children: ReactNode }) {
  return (
    <details className="more" open={open}>
      <summary>{summary}</summary>
      <div className="more-body">{children}</div>
    </details>
  );
}
