import { defineConfig } from "vitest/config";

// Where `make run` serves; FOLDBACK names another one.
const server = process.env.FOLDBACK ?? "http://localhost:8080";

export default defineConfig({
  build: {
    target: "es2022",
    // Names without a hash: what is committed changes by its contents only. The server lets browsers ask whether it did.
    rollupOptions: {
      input: { app: "index.html", admin: "admin.html" },
      output: { entryFileNames: "[name].js", chunkFileNames: "shared.js", assetFileNames: "[name][extname]" },
    },
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  // Files of their own, such as what runs on the audio thread.
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "[name].js" } } },
  server: {
    // Vite serves the sources, foldback everything that it alone can.
    proxy: {
      "/api": server,
      "/ws": { target: server, ws: true },
    },
  },
  test: { include: ["src/**/*.test.ts"] },
});
