// Which providers people look for first, and how a typed word finds one.
import type { Provider } from "../../api/queries/sources";

const POPULAR = [
  "github", "stripe", "shopify", "slack", "gitlab", "twilio", "sendgrid", "paypal", "hubspot", "linear",
  "clerk", "zoom", "standardwebhooks",
];

/** For senders that the catalogue has no entry for. */
const GENERAL: Record<string, string> = {
  hmac: "Any sender that signs with a keyed hash",
  token: "Any sender that brings a shared token along",
  basic: "Any sender with a user and a password",
  none: "Nothing is checked: only the URL is secret",
};

export interface Choice extends Provider { note?: string }
export interface ChoiceGroup { title: string; choices: Choice[] }

const plain = (text: string) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** How well a provider fits, lower is better; null if it does not. */
function distance(provider: Provider, wanted: string): number | null {
  const name = plain(provider.name);
  const squeezed = name.replace(/[^\p{L}\p{N}]/gu, "");
  if (name === wanted || provider.slug === wanted) return 0;
  if (name.startsWith(wanted) || squeezed.startsWith(wanted)) return 1;
  if (name.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(wanted))) return 2;
  if (provider.slug.includes(wanted.replaceAll(" ", "_"))) return 3;
  return name.includes(wanted) || squeezed.includes(wanted) ? 4 : null;
}

const popularity = (slug: string) => {
  const at = POPULAR.indexOf(slug);
  return at < 0 ? POPULAR.length : at;
};

/** What is shown for what was typed: popular ones first, then all; with a word, the best fit first. */
export function chosenFrom(providers: Provider[], typed: string): ChoiceGroup[] {
  const wanted = plain(typed.trim());
  const noted = (provider: Provider): Choice => {
    const note = GENERAL[provider.slug];
    return note ? { ...provider, note } : provider;
  };
  if (wanted !== "") {
    const found = providers
      .map((provider) => ({ provider, at: distance(provider, wanted) }))
      .filter((one): one is { provider: Provider; at: number } => one.at !== null)
      .sort((a, b) => a.at - b.at || popularity(a.provider.slug) - popularity(b.provider.slug) || a.provider.name.localeCompare(b.provider.name));
    return found.length > 0 ? [{ title: `${found.length} found`, choices: found.map((one) => noted(one.provider)) }] : [];
  }
  const bySlug = new Map(providers.map((provider) => [provider.slug, provider]));
  const named = (slugs: string[]) => slugs.flatMap((slug) => bySlug.get(slug) ?? []).map(noted);
  const rest = providers.filter((provider) => !(provider.slug in GENERAL)).toSorted((a, b) => a.name.localeCompare(b.name));
  const own = rest.filter((provider) => provider.status === "own");
  return [
    { title: "Yours", choices: own },
    { title: "Often used", choices: named(POPULAR) },
    { title: "Something else", choices: named(Object.keys(GENERAL)) },
    { title: `All ${rest.length}`, choices: rest },
  ].filter((group) => group.choices.length > 0);
}
