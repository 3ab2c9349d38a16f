import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The gateway serves the bundle; in development everything else is asked of a running one, with a
// token from the environment so that nobody has to sign in.
const gateway = process.env.BECKET_URL ?? "http://127.0.0.1:8080";
const headers: Record<string, string> = process.env.BECKET_TOKEN
  ? { authorization: `Bearer ${process.env.BECKET_TOKEN}` }
  : {};
const proxied = { target: gateway, headers };

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    sourcemap: false,
    assetsInlineLimit: 0,
    rollupOptions: { input: { dashboard: "index.html", portal: "portal/index.html" } },
  },
  server: { proxy: { "/api": proxied, "/ingest": proxied, "/catalogue": gateway, "/portal/config.json": gateway, "/portal/logo": gateway } },
});
