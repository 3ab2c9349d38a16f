import { Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import { Link, useRouterState } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef } from "react";

export interface Crumb {
  label: string;
  to: string;
}

export interface PageProps {
  /** The page's heading and the tab's title. */
  title: string;
  /** Beside the title: a state, an id. */
  aside?: ReactNode;
  actions?: ReactNode;
  crumbs?: Crumb[];
  /** Under the title: one sentence. */
  lead?: ReactNode;
  /** Uses the whole width of the window, for wide tables. */
  wide?: boolean;
  children?: ReactNode;
}

// Where the focus was last moved to a heading: the first page keeps the browser's own focus.
let headedPath: string | null = null;

/** A page: where one is, what it is called, what can be done here. */
export function Page({ title, aside, actions, crumbs, lead, wide = false, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  // The path whose page is there, not the one that is being gone to while the old page still stands.
  const path = useRouterState({ select: (state) => state.resolvedLocation?.pathname });
  useEffect(() => { document.title = `${title} · Becket`; }, [title]);
  useEffect(() => {
    if (path === undefined || headedPath === path) return;
    const first = headedPath === null;
    headedPath = path;
    const active = document.activeElement;
    const busy = active instanceof HTMLInputElement || active instanceof HTMLTextAreaElement || active?.closest("[role=dialog]");
    // Whoever listens to the page hears its name after following a link.
    if (!first && !busy) heading.current?.focus({ preventScroll: true });
  }, [path]);
  return (
    <Stack gap="md" maw={wide ? undefined : 1240} mx="auto" w="100%">
      <div>
        {crumbs && crumbs.length > 0 && (
          <Group component="nav" aria-label="Breadcrumbs" gap={6} mb={2} c="dimmed" fz="xs">
            {crumbs.map((crumb) => (
              <Group key={crumb.to} gap={6}>
                <Link className="plain" to={crumb.to}>{crumb.label}</Link><span aria-hidden>/</span>
              </Group>
            ))}
          </Group>
        )}
        <Group justify="space-between" align="center" gap="xs">
          <Group gap="sm" align="center" maw="100%">
            <Title order={1} ref={heading} tabIndex={-1} className="foreign">{title}</Title>
            {aside}
          </Group>
          {actions && <Group gap="xs">{actions}</Group>}
        </Group>
        {lead && <Text c="dimmed" component="div" mt={2} maw={760}>{lead}</Text>}
      </div>
      {children}
    </Stack>
  );
}

/** What stands in for a page until its first answer is here: the same places, without text. */
export function PageSkeleton({ rows = 8 }: { rows?: number }) {
  return (
    <Stack gap="md" maw={1240} mx="auto" w="100%" role="status" aria-label="Loading">
      <Skeleton h={29} w={180} />
      <Skeleton h={30} />
      <Stack gap={10}>
        {Array.from({ length: rows }, (_, row) => <Skeleton key={row} h={22} />)}
      </Stack>
    </Stack>
  );
}
