import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { CHART_HEIGHT, type ChartProps, type ChartSeries } from "./Chart";

interface PlotProps extends Pick<ChartProps, "at" | "stepMs" | "series" | "format"> {
  stacked: boolean;
  logarithmic: boolean;
  cursor: number | null;
  onCursor: (index: number | null) => void;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_S = 86_400;

// What the chart library draws: with `stacked` the sums from below, the highest first, so that the
// lower ones are painted over it.
function rows(at: number[], series: ChartSeries[], stacked: boolean): uPlot.AlignedData {
  const x = at.map((moment) => moment / 1_000);
  if (!stacked) return [x, ...series.map((one) => one.values)];
  const sums: number[][] = [];
  for (const one of series) {
    const below = sums.at(-1);
    sums.push(one.values.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)));
  }
  return [x, ...sums.reverse()];
}

// A value between two unknown ones is no line: it is drawn as a dot.
function alone(plot: uPlot, index: number): number[] {
  const values = plot.data[index] ?? [];
  const known = (at: number) => values[at] !== null && values[at] !== undefined;
  return Array.from(values.keys()).filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}

function drawn(one: ChartSeries, color: string): uPlot.Series {
  const shared = { label: one.label, stroke: color, points: { show: one.kind !== "bar", size: 4, fill: color, filter: alone } };
  const bars = uPlot.paths.bars?.({ size: [0.82, 26], align: 1 });
  if (one.kind === "bar" && bars) return { ...shared, width: 0, fill: color, paths: bars };
  if (one.kind === "area") return { ...shared, width: 1.5, fill: `${color}2b` };
  return { ...shared, width: 1.75 };
}

// Counts have no halves; of a logarithmic scale only the powers of ten are named.
const labelled = (value: number, logarithmic: boolean) =>
  logarithmic ? Number.isInteger(Math.log10(value)) : value === 0 || value >= 1;

function options(host: HTMLElement, { series, stepMs, stacked, logarithmic, format }: PlotProps, tell: (index: number | null) => void): uPlot.Options {
  const style = getComputedStyle(host);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const dim = color("--mantine-color-dimmed");
  const line = color("--mantine-color-default-border");
  const font = `11px ${color("--mantine-font-family")}`;
  const listed = stacked ? [...series].reverse() : series;
  return {
    width: host.clientWidth || 300,
    height: CHART_HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { show: false }, sync: { key: "becket" } },
    scales: {
      // The last point stands for a step of its own.
      x: { range: (plot) => [plot.data[0][0] ?? 0, (plot.data[0].at(-1) ?? 1) + stepMs / 1_000] },
      y: logarithmic
        ? { distr: 3, range: (_, min, max) => [10 ** Math.floor(Math.log10(Math.max(min, 1))), Math.max(max * 1.3, 100)] }
        : { range: (_, __, max) => [0, Math.max(max * 1.08, 1)] },
    },
    axes: [
      {
        stroke: dim, font, size: 20, gap: 4, space: 64, grid: { show: false }, ticks: { show: false },
        values: (_, splits, __, ___, step) => splits.map((at) => (step >= DAY_S ? date : clock).format(at * 1_000)),
      },
      {
        stroke: dim, font, size: 48, gap: 6, space: 36, ticks: { show: false }, grid: { stroke: line, width: 1, filter: (_, splits) => splits.map((value) => (logarithmic && !labelled(value, true) ? null : value)) },
        values: (_, splits) => splits.map((value) => (labelled(value, logarithmic) ? format(value) : "")),
      },
    ],
    series: [{}, ...listed.map((one) => drawn(one, color(`--chart-${one.color}`)))],
    hooks: { setCursor: [(plot) => tell(plot.cursor.idx ?? null)] },
  };
}

/** Draws the chart; alone in a file of its own because the library is loaded when a chart is first seen. */
export function ChartPlot(props: PlotProps) {
  const { at, stepMs, series, stacked, logarithmic, format, cursor, onCursor } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const scheme = useComputedColorScheme("light");
  const shape = series.map((one) => `${one.label} ${one.kind} ${one.color}`).join();

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const { at, series, stacked } = latest.current;
    // A chart that is not hovered says so once; the keyboard's cursor is not its business.
    let over = false;
    const tell = (index: number | null) => {
      if (index === null && !over) return;
      over = index !== null;
      latest.current.onCursor(index);
    };
    const made = new uPlot(options(element, latest.current, tell), rows(at, series, stacked), element);
    plot.current = made;
    const watch = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: CHART_HEIGHT });
    });
    watch.observe(element);
    return () => { watch.disconnect(); made.destroy(); plot.current = null; };
  }, [shape, stepMs, stacked, logarithmic, scheme, format, onCursor]);

  useEffect(() => { plot.current?.setData(rows(at, series, stacked)); }, [at, series, stacked]);

  useEffect(() => {
    const made = plot.current;
    const x = cursor === null ? undefined : at[cursor];
    if (!made || x === undefined || made.cursor.idx === cursor) return;
    made.setCursor({ left: made.valToPos(x / 1_000, "x"), top: CHART_HEIGHT / 2 }, false);
  }, [cursor, at]);

  return <div ref={host} aria-hidden />;
}
