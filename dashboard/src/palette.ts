// The colours, computed in OKLCH: every hue has the same ten steps of lightness, so that what is
// readable in one colour is readable in all of them (step 7 carries white text at 5:1).
import type { MantineColorsTuple } from "@mantine/core";

export const palette: Record<string, MantineColorsTuple> = {
  red: ["#fef4f3", "#fee8e6", "#ffcfca", "#ffb0a8", "#ff8a83", "#fc5755", "#e13237", "#c01122", "#a20419", "#7a0913"],
  pink: ["#fef4f7", "#fee7ef", "#fecdde", "#ffaacb", "#ff81b6", "#ee5b9e", "#d33985", "#b41f6d", "#97145a", "#711143"],
  grape: ["#fcf3ff", "#fae6ff", "#f5cbff", "#ebadf9", "#de8cf1", "#cb6ae0", "#b04cc7", "#9534aa", "#7d288f", "#5d1f6b"],
  violet: ["#f7f5fe", "#efebfe", "#ded6fe", "#cbbcff", "#b89ffe", "#a37bfe", "#8b5ce7", "#7345c7", "#5f37a8", "#472a7e"],
  indigo: ["#f5f6fe", "#e9edfe", "#d2dbfe", "#b7c4fe", "#9baafe", "#7c8cfe", "#616cf3", "#4d54d3", "#3e44b2", "#2e3386"],
  blue: ["#f2f7ff", "#e4effe", "#c6dfff", "#a2caff", "#7ab4fe", "#4599fe", "#1e7de6", "#0265c5", "#0253a4", "#013e7d"],
  cyan: ["#ecfafd", "#d7f4fb", "#b4e6f3", "#88d5e8", "#52c2db", "#0aaac6", "#078ea5", "#017488", "#066070", "#024855"],
  teal: ["#ecfaf7", "#d9f5ee", "#b6e9dc", "#8cd9c7", "#59c7b1", "#03b198", "#09937f", "#007967", "#036455", "#044b40"],
  green: ["#eefbf1", "#dcf6e1", "#bceac7", "#96daa8", "#6ac987", "#3ab267", "#02984d", "#067c3e", "#026732", "#014e24"],
  lime: ["#f3faeb", "#e6f4d7", "#cfe6b4", "#b3d58a", "#97c25b", "#7baa26", "#648f05", "#517504", "#426003", "#314901"],
  yellow: ["#fdf6ea", "#faecd3", "#f1d9ae", "#e6c280", "#d8a94c", "#c38e01", "#a37602", "#866000", "#6e4f04", "#543b00"],
  orange: ["#fff4ef", "#ffe9dc", "#ffd2b8", "#feb487", "#f99350", "#e87308", "#c35f03", "#a04d04", "#853f02", "#652e01"],
  ink: ["#f3f7fe", "#e6eeff", "#ccddfe", "#acc7fe", "#8ab0fe", "#6a95f1", "#507ad7", "#3c62b9", "#2f519c", "#233c75"],
  gray: ["#f9fafd", "#f2f4f8", "#e7eaee", "#d7dbe1", "#c5c9d0", "#9a9fa6", "#70757d", "#535861", "#333841", "#1a1f28"],
  dark: ["#dde1ea", "#c0c4cc", "#a5a9b1", "#858991", "#3e4148", "#2e3238", "#21252a", "#171a20", "#111419", "#0a0d13"],
};
