// What the columns of the list say of an event.
import type { Event } from "../../api/queries/events";

type Delivery = Event["deliveries"][number];

/** The last delivery to each endpoint: what stands now. */
export function latest(event: Event): Delivery[] {
  const last = new Map<string, Delivery>();
  for (const delivery of event.deliveries) {
    const key = delivery.endpointId ?? "";
    const before = last.get(key);
    if (!before || before.generation <= delivery.generation) last.set(key, delivery);
  }
  return [...last.values()];
}

/** The one word for where an event stands. */
export function stateOf(event: Event): string {
  if (event.disposition === "filtered") return "filtered";
  if (event.disposition === "invalid") return "invalid";
  if (event.state !== "none") return event.state;
  return event.filteredBy.length > 0 ? "filtered" : "no endpoint";
}

export function verdictOf(event: Event): { word: string; title: string } {
  if (event.unverified) return { word: "unverified", title: `Verification refused it (${event.unverified}); it was accepted all the same.` };
  if (event.released) return { word: "released", title: `Let out of quarantine by ${event.released.by}; refused before as ${event.released.refusedAs}.` };
  if (event.sourceId?.startsWith("app_")) return { word: "posted", title: "Posted through the API with a token." };
  return { word: "genuine", title: "Its signature fits." };
}

/** Where it went, in a few words. */
export function endpointsOf(event: Event): string {
  const deliveries = latest(event);
  const filtered = event.filteredBy.length;
  const left = filtered > 0 ? `${filtered} filtered` : "";
  if (deliveries.length === 0) return left;
  const [only] = deliveries;
  if (deliveries.length === 1 && only) {
    return [only.endpoint ?? "removed endpoint", attempts(only), left].filter(Boolean).join(", ");
  }
  const counts = new Map<string, number>();
  for (const { state } of deliveries) counts.set(state, (counts.get(state) ?? 0) + 1);
  if (counts.get("delivered") === deliveries.length) return [`all ${deliveries.length} delivered`, left].filter(Boolean).join(", ");
  const parts = [...counts].map(([state, count]) => `${count} ${state}`);
  return [...parts, left].filter(Boolean).join(", ");
}

function attempts({ attempts: made, state }: Delivery): string {
  if (state === "delivered" && made <= 1) return "";
  return made === 0 ? "not tried yet" : made === 1 ? "1 attempt" : `${made} attempts`;
}

const sameDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
const otherDay = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const today = () => new Date().toDateString();

/** A short moment for a row, in the reader's zone. */
export function shortTime(at: string): string {
  const moment = new Date(at);
  return (moment.toDateString() === today() ? sameDay : otherDay).format(moment);
}

export const utc = (at: string): string => `${at.replace("T", " ").replace("Z", "")} UTC`;
