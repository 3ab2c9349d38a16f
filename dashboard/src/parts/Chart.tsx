import { ActionIcon, Card, Group, Skeleton, Table, Text, Tooltip } from "@mantine/core";
import { IconChartHistogram, IconTable } from "@tabler/icons-react";
import { lazy, type KeyboardEvent, Suspense, useCallback, useId, useState } from "react";

import "./chart.css";

const Plot = lazy(() => import("./ChartPlot").then((file) => ({ default: file.ChartPlot })));

export interface ChartSeries {
  label: string;
  /** A colour of the theme, e.g. `ink`. */
  color: string;
  kind: "bar" | "line" | "area";
  /** One value for each moment of `at`; null where nothing is known. */
  values: (number | null)[];
}

export interface ChartProps {
  title: string;
  /** The moments, in milliseconds since 1970, oldest first. */
  at: number[];
  /** How much time one moment stands for. */
  stepMs: number;
  /** Drawn in this order; with `stacked` each on top of the ones before it. */
  series: ChartSeries[];
  stacked?: boolean;
  /** A scale on which each line is ten times the one below, for values that differ widely. */
  logarithmic?: boolean;
  format: (value: number) => string;
  /** The sum of it all, shown beside the title. */
  headline?: string;
  /** What is said where there is nothing to draw. */
  empty: string;
  /** Leads to what happened in one step, on a click or Enter. */
  onPick?: (from: number, until: number) => void;
}

export const CHART_HEIGHT = 168;
const ROWS = 24;

/** A chart over time. What it shows can also be had as a table, and read point by point with the arrows. */
export function Chart({ title, at, stepMs, series, stacked = false, logarithmic = false, format, headline, empty, onPick }: ChartProps) {
  const [asTable, setAsTable] = useState(false);
  const [cursor, setCursor] = useState<number | null>(null);
  const [said, setSaid] = useState("");
  const id = useId();
  const nothing = !series.some((one) => one.values.some((value) => value !== null && value > 0));
  const told = useCallback((index: number | null) => setCursor(index), []);

  const read = (index: number) =>
    `${moment(at[index] ?? 0, stepMs)}: ${series.map((one) => `${one.label} ${shown(one.values[index], format)}`).join(", ")}`;
  const pick = () => {
    const from = cursor === null ? undefined : at[cursor];
    if (from !== undefined) onPick?.(from, from + stepMs);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "Enter") pick();
    const last = at.length - 1;
    const next = { ArrowLeft: (cursor ?? at.length) - 1, ArrowRight: (cursor ?? -1) + 1, Home: 0, End: last }[event.key];
    if (next === undefined || last < 0) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(last, next));
    setCursor(index);
    setSaid(read(index));
  };
  return (
    <Card padding="sm" component="section" aria-labelledby={id} className="chart">
      <Group justify="space-between" gap="xs" wrap="nowrap" mih={26}>
        <Group gap="xs" wrap="nowrap">
          <Text component="h2" id={id} fw={600}>{title}</Text>
          {headline && <Text c="dimmed" size="xs" className="numbers">{headline}</Text>}
        </Group>
        <Tooltip label={asTable ? "Show as a chart" : "Show as a table"}>
          <ActionIcon variant="subtle" color="gray" size="sm" aria-label={`${title}: show as a ${asTable ? "chart" : "table"}`} onClick={() => setAsTable(!asTable)}>
            {asTable ? <IconChartHistogram size={15} /> : <IconTable size={15} />}
          </ActionIcon>
        </Tooltip>
      </Group>
      <div className="chart-legend">
        {series.map((one) => (
          <span key={one.label}><i data-color={one.color} data-kind={one.kind} />{one.label}{cursor !== null && <b className="numbers">{shown(one.values[cursor], format)}</b>}</span>
        ))}
        {cursor !== null && at[cursor] !== undefined && <span className="chart-moment numbers">{moment(at[cursor], stepMs)}</span>}
      </div>
      {asTable ? <AsTable title={title} at={at} stepMs={stepMs} series={series} format={format} /> : (
        <div className="chart-frame" data-picks={onPick ? true : undefined} tabIndex={0} role="group" onClick={pick}
          aria-label={`${title}: chart of ${at.length} points. The arrow keys read them${onPick ? ", Enter shows the events of one" : ""}.`}
          onKeyDown={pressed} onBlur={() => { setCursor(null); setSaid(""); }}>
          <Suspense fallback={<Skeleton h={CHART_HEIGHT} />}>
            <Plot at={at} stepMs={stepMs} series={series} stacked={stacked} logarithmic={logarithmic} format={format} cursor={cursor} onCursor={told} />
          </Suspense>
          {nothing && <p className="chart-nothing">{empty}</p>}
          <span role="status" className="visually-hidden">{said}</span>
        </div>
      )}
    </Card>
  );
}

const shown = (value: number | null | undefined, format: (value: number) => string) =>
  value === null || value === undefined ? "–" : format(value);

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function moment(at: number, stepMs: number): string {
  const format = new Date(at).toDateString() === new Date().toDateString() ? clock : day;
  return `${format.format(at)}–${clock.format(at + stepMs)}`;
}

/** The newest points, newest first. */
function AsTable({ title, at, stepMs, series, format }: Pick<ChartProps, "title" | "at" | "stepMs" | "series" | "format">) {
  const rows = at.map((_, index) => index).reverse()
    .filter((index) => series.some((one) => one.values[index])).slice(0, ROWS);
  return (
    <div className="chart-table" tabIndex={0} role="group" aria-label={`${title}: table`}>
      <Table verticalSpacing={3} stickyHeader>
        <Table.Caption>{rows.length === 0 ? "Nothing in this stretch." : `The last ${rows.length} points with something in them.`}</Table.Caption>
        <Table.Thead>
          <Table.Tr><Table.Th>Time</Table.Th>{series.map((one) => <Table.Th key={one.label} ta="right">{one.label}</Table.Th>)}</Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((index) => (
            <Table.Tr key={at[index]}>
              <Table.Td className="numbers">{moment(at[index] ?? 0, stepMs)}</Table.Td>
              {series.map((one) => <Table.Td key={one.label} ta="right" className="numbers">{shown(one.values[index], format)}</Table.Td>)}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
