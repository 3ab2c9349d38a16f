// The way from a provider's name to its first event. Where one stands is in the URL, so that a reload
// or a link goes on from there; what is secret is only in this page's memory.
import { useQuery } from "@tanstack/react-query";

import { providerQuery, sourceQuery } from "../../api/queries/sources";
import { useSelf } from "../../api/queries/common";
import { Empty } from "../../parts/Empty";
import { Page, PageSkeleton } from "../../parts/Page";
import { Trouble } from "../../parts/Trouble";
import { newSearch } from "./search";
import "./sources.css";
import { useView } from "./view";
import { FirstRequest } from "./wizard/FirstRequest";
import { ProviderPicker } from "./wizard/ProviderPicker";
import { SetUp } from "./wizard/SetUp";

const STEPS = ["Provider", "Receiving URL", "First request"];

export function NewSourcePage() {
  const me = useSelf();
  const [view, change] = useView(newSearch);
  const at = view.source ? 2 : view.provider ? 1 : 0;
  if (!me.changes) {
    return (
      <Page title="New source" crumbs={[{ label: "Sources", to: "/sources" }]}>
        <Empty title="A viewer cannot make sources">Ask an admin or a developer of this gateway to make it.</Empty>
      </Page>
    );
  }
  return (
    <Page title="New source" crumbs={[{ label: "Sources", to: "/sources" }]}>
      <ol className="wizard-steps" aria-label="Steps">
        {STEPS.map((step, index) => (
          <li key={step} data-reached={index <= at || undefined} aria-current={index === at ? "step" : undefined}>{index + 1}. {step}</li>
        ))}
      </ol>
      {at === 0 && (
        <ProviderPicker find={view.find ?? ""} onFind={(find) => change({ find: find || undefined }, { replace: true })}
          onChosen={(provider) => change({ provider })} />
      )}
      {at === 1 && view.provider && (
        <WithProvider slug={view.provider} onOther={() => change({ provider: undefined })} onMade={(source) => change({ source }, { replace: true })} />
      )}
      {at === 2 && view.source && <WithSource id={view.source} />}
    </Page>
  );
}

function WithProvider({ slug, onOther, onMade }: { slug: string; onOther: () => void; onMade: (source: string) => void }) {
  const provider = useQuery(providerQuery(slug));
  if (provider.error) return <Trouble error={provider.error} retry={onOther} />;
  if (!provider.data) return <PageSkeleton rows={6} />;
  return <SetUp provider={provider.data} onOther={onOther} onMade={onMade} />;
}

function WithSource({ id }: { id: string }) {
  const source = useQuery({ ...sourceQuery(id), refetchInterval: 3_000 });
  const provider = useQuery({ ...providerQuery(source.data?.provider ?? ""), enabled: source.data !== undefined });
  const error = source.error ?? provider.error;
  if (error && !source.data) return <Trouble error={error} retry={() => { void source.refetch(); void provider.refetch(); }} />;
  if (!source.data || !provider.data) return <PageSkeleton rows={6} />;
  return <FirstRequest source={source.data} provider={provider.data} />;
}
