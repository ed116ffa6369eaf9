// What the shared library shows; everything else is hidden (see setup.py).
#pragma once

#define EXPORT extern "C" __attribute__((visibility("default")))
