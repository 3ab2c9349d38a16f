import { Button, Skeleton, Text } from "@mantine/core";
import { IconAlertTriangleFilled, IconCircleCheckFilled, IconCircleXFilled } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { problemsQuery, type ProblemOut } from "../../api/queries/home";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";

interface Stats {
  accepting: boolean;
  problem: string | null;
  endpoints: { enabled: number };
  sources: number;
}

/** What is wrong, since when, and what to do; or that nothing is. */
export function Problems({ stats }: { stats: Stats | undefined }) {
  const problems = useQuery(problemsQuery);
  if (problems.error) return <Trouble error={problems.error} retry={() => void problems.refetch()} />;
  if (!problems.data || !stats) return <Skeleton h={44} role="status" aria-label="Loading" />;
  const known = problems.data.data;
  const found = stats.accepting || known.some((one) => one.kind === "not_accepting") ? known : [notAccepting(stats), ...known];
  if (found.length === 0) {
    return (
      <div className="well" role="status">
        <IconCircleCheckFilled size={18} aria-hidden />
        <span><b>All well.</b> Events are accepted, no endpoint is failing, no source has gone quiet, no signature was refused lately.</span>
      </div>
    );
  }
  return (
    <section aria-labelledby="problems">
      <h2 id="problems" className="visually-hidden">Problems</h2>
      <ul className="problems">
        {found.map((one) => <Problem key={`${one.kind} ${one.endpointId ?? one.sourceId ?? ""} ${one.title}`} problem={one} />)}
      </ul>
    </section>
  );
}

function Problem({ problem }: { problem: ProblemOut }) {
  const bad = problem.severity === "error";
  return (
    <li data-severity={problem.severity}>
      {bad ? <IconCircleXFilled size={18} aria-hidden /> : <IconAlertTriangleFilled size={18} aria-hidden />}
      <div className="problem-text">
        <p className="problem-title">
          <span className="visually-hidden">{bad ? "Error: " : "Warning: "}</span><b className="foreign"><Words text={problem.title} /></b>
          {problem.since && <Text span size="xs" c="dimmed"> since <Time at={problem.since} /></Text>}
        </p>
        <p className="foreign"><Words text={problem.detail} /> <strong><Words text={problem.hint} /></strong></p>
      </div>
      <Way problem={problem} />
    </li>
  );
}

/** A sentence in which names stand between backticks. */
function Words({ text }: { text: string }) {
  return text.split("`").map((part, place) => (place % 2 === 1 ? <code key={place} className="mono">{part}</code> : part));
}

/** Where one sees more, or does something about it. */
function Way({ problem }: { problem: ProblemOut }) {
  const button = { size: "xs", variant: "default" } as const;
  if (problem.kind === "signatures_refused") {
    return <Button {...button} component={Link} to="/quarantine" {...(problem.source && { search: { source: problem.source } as never })}>Refused requests</Button>;
  }
  if (problem.endpointId) return <Button {...button} renderRoot={(props) => <Link {...props} to="/endpoints/$endpointId" params={{ endpointId: problem.endpointId as string }} />}>Endpoint</Button>;
  if (problem.sourceId) return <Button {...button} renderRoot={(props) => <Link {...props} to="/sources/$sourceId" params={{ sourceId: problem.sourceId as string }} />}>Source</Button>;
  if (problem.kind === "disk_filling" || problem.kind === "not_accepting" || problem.kind === "database_at_risk") return <Button {...button} component={Link} to="/settings">Store</Button>;
  return null;
}

function notAccepting(stats: Stats): ProblemOut {
  return {
    kind: "not_accepting", severity: "error", since: null, title: "The gateway is not accepting events", detail: stats.problem ?? "",
    hint: "Senders are told to try again; nothing accepted is lost.", sourceId: null, source: null, endpointId: null, endpoint: null, count: null,
  };
}
