"""How one would convert with other libraries. Each script takes a recording and a folder that is not there yet.

They do our converter's job as their users would write it: a CSV file per topic, nested fields as columns with dotted
names, a list as one cell of JSON. Each runs in an environment of its own, so they import nothing of ours.
"""
