# The image's entrypoint reads this once, on an empty volume. The mirror makes its databases and tables itself, and brings
# them up to date.
docker_process_sql <<SQL
GRANT ALL PRIVILEGES ON \`Device\`.* TO '$MARIADB_USER'@'%';
GRANT ALL PRIVILEGES ON \`Pod\`.* TO '$MARIADB_USER'@'%';
GRANT ALL PRIVILEGES ON \`Sentinel\`.* TO '$MARIADB_USER'@'%';
SQL
