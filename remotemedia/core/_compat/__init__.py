"""How nodes written for the older Python API run as operators; the public names are one level up.

runtime_data (making, reading)  native  what old nodes see of a payload
data_types  old_forms                   its words; payload → what is found in its place
outgoing  new_payloads                  what nodes give → payloads
samples  values  params                 audio, JSON and params as old code writes them
nodes  multiprocess_node                the base classes old nodes inherit from
session_state  reporter                 what these give a node: a store, progress
construction  operators                 old class → instance; old class → Operator
registration  undecorated               Operator → registry, here and in workers
pipeline  session  running  progress    the older way to compose, to start, to be told
errors                                  by the names old callers catch
"""
