// The portal: what a customer sees of one application, at an address of its own and with a token that
// never leaves this tab. It shares parts with the dashboard and nothing else: no router, no session.
import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "../style.css";
import "./portal.css";

import { createRoot } from "react-dom/client";

import { loadBrand } from "./brand";
import { frameOf } from "./frame";
import { Portal } from "./Portal";
import { session } from "./session";
import { onFreshLink, takeStart } from "./start";

// Before anything else: the token leaves the address bar and the history.
const start = takeStart();
const frame = frameOf(start.look);
onFreshLink((token) => void session.begin(token));
void session.begin(start.token);

const root = document.getElementById("root");
if (root) {
  void loadBrand().then((brand) => {
    if (brand.logo) document.querySelector("link[rel=icon]")?.setAttribute("href", brand.logo);
    createRoot(root).render(<Portal brand={brand} look={start.look} frame={frame} />);
  });
}
