import { Text } from "@mantine/core";

import { count, percent } from "../parts/format";

export interface FiguresProps {
  stats: { success: number; fail: number; pending: number; sending: number };
}

/** How an endpoint has done in the last four weeks, in one line of numbers. */
export function Figures({ stats }: FiguresProps) {
  const { success, fail, pending, sending } = stats;
  const figures: [string, string][] = [
    ["Delivered", count(success)],
    ["Failed", count(fail)],
    ["Waiting", count(pending + sending)],
    ["Success", percent(success, success + fail)],
  ];
  return (
    <div className="figures">
      <dl>
        {figures.map(([label, value]) => (
          <div key={label}><dt>{label}</dt><dd className="numbers">{value}</dd></div>
        ))}
      </dl>
      <Text size="xs" c="dimmed" className="figures-note">in the last 28 days</Text>
    </div>
  );
}
