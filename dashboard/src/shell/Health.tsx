import { Tooltip } from "@mantine/core";
import { IconAlertTriangleFilled, IconCircleCheckFilled, IconCircleXFilled, IconHelpCircleFilled, IconPlugConnectedX } from "@tabler/icons-react";
import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { statsQuery } from "../api/queries/common";
import { type ProblemOut, problemsQuery } from "../api/queries/home";
import { counted } from "../parts/format";

interface Told {
  tone: "good" | "warn" | "bad" | "none";
  text: string;
  why: string;
  Icon: typeof IconHelpCircleFilled;
}

/** Whether the gateway is well, on every page: leads to what is wrong. Calm only if it is known to be. */
export function Health() {
  const stats = useQuery({ ...statsQuery, refetchInterval: 5_000 });
  const problems = useQuery(problemsQuery);
  if (!stats.data && !stats.isError) return <span className="health" data-tone="none" aria-hidden />;
  const { tone, text, why, Icon } = told(stats, problems);
  return (
    <Tooltip label={why}>
      <Link to="/" className="health" data-tone={tone} aria-label={`Gateway: ${text}`}>
        <Icon size={15} aria-hidden /><span>{text}</span>
      </Link>
    </Tooltip>
  );
}

type Asked<T> = Pick<UseQueryResult<T>, "data" | "error" | "isError">;

function told(stats: Asked<{ accepting: boolean; problem: string | null }>, problems: Asked<{ data: ProblemOut[] }>): Told {
  if (stats.error instanceof TypeError) return { tone: "bad", text: "Unreachable", why: "The gateway does not answer.", Icon: IconPlugConnectedX };
  if (stats.data?.accepting === false) return { tone: "bad", text: "Not accepting", why: stats.data.problem ?? "The gateway refuses new events.", Icon: IconCircleXFilled };
  if (stats.isError || problems.isError || !problems.data) {
    return { tone: "none", text: "Cannot tell", why: "The gateway did not say whether anything is wrong.", Icon: IconHelpCircleFilled };
  }
  const found = problems.data.data;
  const [first] = found;
  if (!first) return { tone: "good", text: "All well", why: "Accepting events; nothing is known to be wrong.", Icon: IconCircleCheckFilled };
  const worst = found.some((one) => one.severity === "error");
  return { tone: worst ? "bad" : "warn", text: counted(found.length, "problem"), why: first.title, Icon: IconAlertTriangleFilled };
}
