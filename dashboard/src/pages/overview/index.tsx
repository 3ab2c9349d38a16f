import { SegmentedControl, SimpleGrid, Skeleton, Stack } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";

import { sourcesQuery, statsQuery } from "../../api/queries/common";
import { activityQuery, anyEventQuery, type Stretch, STRETCHES } from "../../api/queries/home";
import { Page } from "../../parts/Page";
import { Trouble } from "../../parts/Trouble";
import { Breakdown } from "./Breakdown";
import { Charts } from "./Charts";
import { Figures } from "./Figures";
import { FirstSteps } from "./FirstSteps";
import { Live } from "./Live";
import "./overview.css";
import { Problems } from "./Problems";
import { USUAL } from "./search";

/** What is wrong first, then how much there is, over time and by what. */
export function OverviewPage() {
  const { stretch = USUAL } = useSearch({ from: "/" });
  const navigate = useNavigate({ from: "/" });
  const stats = useQuery(statsQuery);
  const sources = useQuery(sourcesQuery);
  const activity = useQuery({ ...activityQuery(stretch), placeholderData: keepPreviousData });
  const any = useQuery(anyEventQuery);
  const nothing = any.data === false && sources.data !== undefined
    && !activity.data?.points.some((point) => point.received > 0 || point.refused > 0);

  return (
    <Page title="Overview" aside={<Live activity={activity} />}
      actions={!nothing && (
        <SegmentedControl aria-label="Stretch of time" value={stretch} data={Object.keys(STRETCHES)}
          onChange={(value) => void navigate({ search: { stretch: value as Stretch }, replace: true, resetScroll: false })} />
      )}>
      <Problems stats={stats.data} />
      {nothing ? <FirstSteps sources={sources.data.data} /> : (
        <>
          {activity.error && <Trouble error={activity.error} retry={() => void activity.refetch()} />}
          {activity.data && stats.data
            ? <><Figures points={activity.data.points} stats={stats.data} stretch={stretch} /><Charts activity={activity.data} /></>
            : !activity.error && <Waiting />}
          <Breakdown stretch={stretch} />
        </>
      )}
    </Page>
  );
}

/** The same places as the figures and charts, so that nothing jumps when they come. */
function Waiting() {
  return (
    <Stack gap="md" role="status" aria-label="Loading">
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">{Array.from({ length: 6 }, (_, n) => <Skeleton key={n} h={92} />)}</SimpleGrid>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="sm">{Array.from({ length: 4 }, (_, n) => <Skeleton key={n} h={250} />)}</SimpleGrid>
    </Stack>
  );
}
