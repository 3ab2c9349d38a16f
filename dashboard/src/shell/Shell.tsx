import { AppShell, Burger, Group, Skeleton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";

import { selfQuery, useSelf } from "../api/queries/common";
import { PageSkeleton } from "../parts/Page";
import { Trouble } from "../parts/Trouble";
import { Account } from "./Account";
import { Health } from "./Health";
import { Mark } from "./Mark";
import { Navigation } from "./Navigation";
import { SchemeButton } from "./SchemeButton";
import { SearchButton } from "./SearchButton";
import "./shell.css";
import { useShortcuts } from "./useShortcuts";

const SignIn = lazy(() => import("../session/SignIn").then((file) => ({ default: file.SignIn })));
const Finder = lazy(() => import("./Finder").then((file) => ({ default: file.Finder })));
const Keys = lazy(() => import("./Keys").then((file) => ({ default: file.Keys })));

/** What is around every page; without a session, the sign-in in its place, at the same address. */
export function Shell() {
  const self = useQuery(selfQuery);
  const queries = useQueryClient();
  const wasIn = useRef(false);
  const inside = Boolean(self.data);
  useEffect(() => {
    // What the last one saw is not for the next one.
    if (self.data === null && wasIn.current) queries.removeQueries({ predicate: (query) => query.queryKey[0] !== "self" });
    if (inside) wasIn.current = true;
  }, [self.data, inside, queries]);

  if (self.data === null) return <Suspense fallback={null}><SignIn ended={wasIn.current} /></Suspense>;
  if (self.data) return <Inside />;
  return (
    <main className="outside">
      {self.error ? <Trouble error={self.error} retry={() => void self.refetch()} /> : <Skeleton h={52} aria-label="Loading" />}
    </main>
  );
}

function Inside() {
  const me = useSelf();
  const [opened, { toggle, close }] = useDisclosure(false);
  const [finding, setFinding] = useState(false);
  const [helping, setHelping] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useShortcuts(me, { find: () => setFinding(true), help: () => setHelping(true) });
  useEffect(() => close(), [path, close]);

  return (
    <AppShell layout="alt" header={{ height: 52 }} navbar={{ width: 208, breakpoint: "sm", collapsed: { mobile: !opened } }} padding={{ base: "md", sm: "lg" }}>
      <a className="skip" href="#content">Skip to the content</a>
      <AppShell.Header className="shell-header">
        <Group h="100%" px={{ base: "sm", sm: "lg" }} gap="sm" wrap="nowrap">
          <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Pages" aria-expanded={opened} />
          <SearchButton onClick={() => setFinding(true)} />
          <Group gap={6} ml="auto" wrap="nowrap">
            <Health />
            <SchemeButton />
            <Account me={me} onKeys={() => setHelping(true)} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar className="shell-navbar" component="nav" aria-label="Pages" data-closed={!opened || undefined}>
        <Group h={52} px="md" gap="xs" wrap="nowrap" className="shell-brand">
          <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Close the pages" />
          <Link to="/" className="plain"><Group gap={8} wrap="nowrap"><Mark /><b>Becket</b></Group></Link>
        </Group>
        <Navigation me={me} />
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <Suspense fallback={<PageSkeleton />}><Outlet /></Suspense>
      </AppShell.Main>
      <Suspense fallback={null}>
        {finding && <Finder me={me} onClose={() => setFinding(false)} />}
        {helping && <Keys me={me} onClose={() => setHelping(false)} />}
      </Suspense>
    </AppShell>
  );
}
