/**
 * Four projects: `unit` needs no database, `pg` has one real server per major, `fault` kills, cuts and holds things, `container` builds
 * the image and runs it where a Docker engine answers.
 * No retries: a test that fails now and then has found something. Modules are loaded by Node itself rather than by Vite, so that
 * module hooks act and type stripping is the same as at run time.
 */
import { defineConfig } from 'vitest/config'

const withServers = { globalSetup: ['test/support/servers.ts'] }

export default defineConfig({
  test: {
    retry: 0,
    // Two, since each test file that touches SQL keeps a server process as busy as itself.
    maxWorkers: 2,
    reporters: ['default'],
    experimental: { viteModuleRunner: false },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 10_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'pg',
          include: ['test/pg/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
          ...withServers,
        },
      },
      {
        extends: true,
        test: {
          name: 'fault',
          include: ['test/fault/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
          ...withServers,
        },
      },
      {
        extends: true,
        test: {
          name: 'container',
          include: ['test/container/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
