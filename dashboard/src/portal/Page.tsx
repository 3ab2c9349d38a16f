import { Group, Stack, Text, Title } from "@mantine/core";
import { useEffect, useRef, type ReactNode } from "react";

import { useBrand } from "./context";

export interface PageProps {
  title: string;
  /** Beside the title: a state. */
  aside?: ReactNode;
  actions?: ReactNode;
  /** The place above this one. */
  back?: { label: string; href: string };
  /** Under the title: one sentence, an address. */
  lead?: ReactNode;
  children?: ReactNode;
}

// The first page keeps the browser's own focus.
let headed: string | null = null;

/** A page of the portal: its name, what can be done here, its content. */
export function Page({ title, aside, actions, back, lead, children }: PageProps) {
  const brand = useBrand();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => { document.title = `${title} · ${brand.name}`; }, [title, brand.name]);
  useEffect(() => {
    const path = window.location.hash.split("?")[0] ?? "";
    const page = path.split("/").slice(0, 3).join("/");
    const first = headed === null;
    if (headed === page) return;
    headed = page;
    if (!first && !document.activeElement?.closest("[role=dialog]")) heading.current?.focus({ preventScroll: false });
  }, []);
  return (
    <Stack gap="md">
      <div>
        {back && (
          <nav aria-label="Breadcrumbs" className="crumbs"><a className="link" href={back.href}>{back.label}</a> <span aria-hidden>/</span></nav>
        )}
        <Group justify="space-between" align="center" gap="xs">
          <Group gap="sm" align="center" maw="100%">
            <Title order={1} ref={heading} tabIndex={-1} className="foreign">{title}</Title>
            {aside}
          </Group>
          {actions && <Group gap="xs">{actions}</Group>}
        </Group>
        {lead && <Text c="dimmed" component="div" mt={4} maw={760}>{lead}</Text>}
      </div>
      {children}
    </Stack>
  );
}
