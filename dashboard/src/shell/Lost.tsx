import { Button, Group, Text } from "@mantine/core";
import { type ErrorComponentProps, Link, useRouter } from "@tanstack/react-router";

import { ApiProblem } from "../api/client";
import { CodeBlock } from "../parts/CodeBlock";
import { Page } from "../parts/Page";
import { Trouble } from "../parts/Trouble";

/** A path that is no page. */
export function Lost() {
  return (
    <Page title="There is no such page" lead="The address may be mistyped, or what it showed has been deleted.">
      <Group gap="xs">
        <Button component={Link} to="/">Overview</Button>
        <Button component={Link} to="/events" variant="default">Events</Button>
      </Group>
    </Page>
  );
}

// After an upgrade the files of the old dashboard are gone, and a page that was not yet loaded fails.
const outdated = (error: Error) => /dynamically imported module|module script failed|Unable to preload/i.test(error.message);

/** A page that has failed: the rest of the dashboard goes on. */
export function PageFailed({ error: thrown, reset }: ErrorComponentProps) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const router = useRouter();
  const again = () => { reset(); void router.invalidate(); };
  if (outdated(error)) {
    return (
      <Page title="The dashboard has been updated" lead="The gateway now serves a newer dashboard than the one in this tab.">
        <div><Button onClick={() => window.location.reload()}>Load it anew</Button></div>
      </Page>
    );
  }
  if (error instanceof ApiProblem) return <Page title="This page cannot be shown"><Trouble error={error} retry={again} /></Page>;
  return (
    <Page title="This page has failed" lead="A fault of the dashboard: the gateway itself goes on receiving and delivering.">
      <CodeBlock text={`${error.name}: ${error.message}`} copyLabel="Copy the error" wrap />
      <Group gap="xs">
        <Button onClick={again}>Try again</Button>
        <Button component={Link} to="/" variant="default">Overview</Button>
      </Group>
      <Text c="dimmed">Everything on this page can also be asked of the API or the command line.</Text>
    </Page>
  );
}
